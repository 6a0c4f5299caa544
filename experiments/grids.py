"""The grids that `experiments.sweep --preset=NAME` runs: a list of products of flags of experiments.run.

smoke       minutes on two cores: every model once on the embedded digits
corrected   our protocol: matched eps, five levels of scarcity, three subsets, one delta, baselines beside
paper       the noise grid of arXiv:2606.07640 as its public code has it (10,000 epochs: for accelerators). Its sigmas
            buy eps of thousands to millions: every record says which
"""

BASELINES = {"model": "copycat,fresh", "eps": "inf"}  # beside every grid, whatever is asked of it
_CORRECTED = {"dataset": "mnist", "n_per_class": "10,50,100,500,0", "seed": "0,1,2"}
GRIDS = {
    "smoke": (
        {"model": "vae,gan,ddpm,gaussian,merf", "eps": "1,10"},
        BASELINES,
    ),
    "corrected": (
        {"model": "vae,gan,ddpm,gaussian,merf", "eps": "1,3,10,inf", "delta": "1e-5"} | _CORRECTED,
        BASELINES | _CORRECTED,
    ),
    "paper": (
        {
            "preset": "paper",
            "dataset": "mnist",
            "model": "vae,gan,ddpm",
            "noise_multiplier": "0,0.05,0.1,0.15,0.2,0.25,0.3,0.35,0.4",
            "seed": "0,1,2",
            "queries": "1",
        },
    ),
}
