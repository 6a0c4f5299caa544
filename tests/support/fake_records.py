"""A record as a run writes it, with invented numbers, for the tests of what reads records."""


def m(value, half, n=360):
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def null(reason):
    return {"value": None, "reason": reason}


# fmt: off
_FIDELITY = {  # (synthetic, half of its interval, real, half of its interval)
    "kid": (0.0412, 0.006, -0.0003, 0.0021), "fd": (6.31, 0.7, 1.21, 0.2),
    "precision": (0.71, 0.05, 0.93, 0.03), "recall": (0.55, 0.05, 0.94, 0.03),
    "density": (0.64, 0.08, 1.01, 0.07), "coverage": (0.62, 0.05, 0.95, 0.02),
    "near_copies": (0.004, 0.004, 0.006, 0.005),
}


def record(model="ddpm", eps=1.0, accuracy=0.82, auc=0.51, dataset="digits", n=500, seed=0, **more):
    """`record(eps="inf")`, `record("gaussian")`: a record of schema 1."""
    def attack(auc, tpr, advantage):
        return {"auc": m(auc, 0.036, 1000), "tpr_at_1_fpr": m(*tpr, 500), "advantage": m(*advantage, 1000)}

    def classifier(accuracy, balanced, auc):
        return {"accuracy": m(*accuracy), "balanced_accuracy": m(*balanced), "auc": m(*auc)}

    return {
        "schema": 1,
        "config": {
            "model": model, "dataset": dataset, "eps": eps, "preset": "corrected", "size": "tiny", "steps": 400,
            "seed": seed, "evaluation": "quick", "n_samples": 1000, "clip_norm": 1.0,
            "model_config": {"width": 64, "depth": 3}, "recipe": {"learning_rate": 2e-3, "ema": 0.99}, **more,
        },
        "data": {
            "name": dataset, "source": "scikit-learn digits (Alpaydin and Kaynak 1998), CC BY 4.0",
            "shape": [8, 8, 1], "n_classes": 10, "class_names": [str(k) for k in range(10)],
            "n_members": n, "n_units": n, "unit": "image", "n_nonmembers": 500, "n_reference": 437, "n_test": 360,
            "members_per_class": [50] * 10, "subset": "random", "seed": seed, "sha256_members": f"{seed:064x}",
            "sha256_data": "d" * 64, "notes": {},
        },
        "privacy": {
            "eps": eps, "delta": 2e-4, "noise_multiplier": 0.0 if eps == "inf" else 8.2134, "clip_norm": 1.0,
            "sampling_rate": 0.25, "capacity": 174, "steps": 400, "relation": "add_or_remove_one",
            "accountant": "none" if eps == "inf" else "pld", "unit": "image", "noise_seed_disclosed": False,
            "statement": f"Every step adds noise: ({eps}, 0.0002) per image, add or remove.",
            "attacks": {
                "loss": attack(auc, (0.012, 0.009), (0.05, 0.04)),
                "nearest_sample": attack(auc - 0.01, (0.008, 0.007), (0.04, 0.03)),
            },
            "audit": None,
        },
        "fidelity": {
            "synthetic": {key: m(*both[:2]) for key, both in _FIDELITY.items()},
            "real": {key: m(*both[2:]) for key, both in _FIDELITY.items()},
            "features": {"network": "domain", "n_reference": 437},
        },
        "utility": {
            "synthetic": classifier((accuracy, 0.038), (accuracy - 0.004, 0.04), (0.972, 0.011)),
            "members": classifier((0.941, 0.024), (0.94, 0.025), (0.996, 0.003)),
        },
        "cost": {
            "seconds": {"calibrate": 8.13, "train": 41.7, "sample": 2.91, "evaluate": 12.6, "total": 65.3},
            "steps": 400, "examples": 50012, "device": "cpu, 2 cores",
        },
        "versions": {
            "fpu": "0.1.0", "jax": "0.10.2", "flax": "0.12.1", "optax": "0.2.6", "dp_accounting": "0.6.0",
            "numpy": "2.4.6", "python": "3.11.9",
        },
    }
# fmt: on


def runs(model, eps, accuracies, coverage=0.6, auc=0.51, **config):
    """A record for each accuracy, of seeds 0, 1, ..."""
    records = []
    for seed, accuracy in enumerate(accuracies):
        one = record(model, eps, accuracy, auc, seed=seed, **config)
        one["fidelity"]["synthetic"]["coverage"] = m(coverage + 0.001 * seed, 0.05)
        records.append(one)
    return records
