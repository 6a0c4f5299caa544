"""The grids of `fpu sweep --preset=NAME`: lists of {flag of a run: values}, each a product of its axes.

smoke       minutes on two cores: every model once on the embedded digits
corrected   our protocol: matched eps, five levels of scarcity, three subsets, one delta, baselines beside
ablation    from the paper's protocol at one noise to ours, one difference at a time: how members are chosen, the
            size of the networks, the length, clip norm and learning rate, real noise instead of nominal, guidance
paper       the noise grid of arXiv:2606.07640 as its public code has it (10,000 epochs: for accelerators). Its sigmas
            buy eps of hundreds to thousands, or none where draws end too soon (dp/tails.py): every record says which
"""

# In every grid; --set does not change these two.
BASELINES = {"model": "copycat,fresh", "eps": "inf"}
_PAPER = {"preset": "paper", "dataset": "mnist", "seed": "0,1,2"}
_NOISED = _PAPER | {"model": "vae,gan,ddpm", "noise_multiplier": "0.1"}
_CORRECTED = {"dataset": "mnist", "n_per_class": "10,50,100,500,0", "seed": "0,1,2"}
GRIDS = {
    "smoke": ({"model": "vae,gan,ddpm,prior,pe,gaussian,merf", "eps": "1,10"}, BASELINES),
    "corrected": (
        {"model": "vae,gan,ddpm,gaussian,merf", "eps": "1,3,10,inf", "delta": "1e-5"} | _CORRECTED,
        BASELINES | _CORRECTED,
    ),
    "ablation": (
        _NOISED,
        _NOISED | {"set": "data.subset=random"},
        _NOISED | {"set": "model.size=default"},
        _NOISED | {"steps": "1000"},
        _NOISED | {"clip_norm": "0.1,10"},
        _NOISED | {"set": "recipe.learning_rate=2e-3"},
        _PAPER | {"model": "vae,gan,ddpm", "eps": "10"},
        _NOISED | {"model": "ddpm", "set": "model.guidance=0"},
        _NOISED | {"preset": "corrected", "n_per_class": "10", "warmup_share": "0"},
    ),
    "paper": (
        _PAPER
        | {
            "model": "vae,gan,ddpm",
            "noise_multiplier": "0,0.05,0.1,0.15,0.2,0.25,0.3,0.35,0.4",
            "audit": "paper:1",
        },
    ),
}
