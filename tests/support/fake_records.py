"""A record as a run writes it, with invented numbers, for the tests of what reads records."""

import copy


def m(value, half, n=360):
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def null(reason):
    return {"value": None, "reason": reason}


def record(
    model="ddpm", eps=1.0, accuracy=0.82, auc=0.51, dataset="digits", n=500, seed=0, **config
):
    """`record(eps="inf")`, `record("gaussian")`: a record of schema 1."""
    return copy.deepcopy(
        {
            "schema": 1,
            "config": {
                "model": model,
                "dataset": dataset,
                "eps": eps,
                "preset": "corrected",
                "size": "tiny",
                "steps": 400,
                "seed": seed,
                "n_samples": 1000,
                "clip_norm": 1.0,
                "sampling_rate": None,
                "model_config": {"width": 64, "depth": 3},
                "recipe": {"learning_rate": 2e-3, "ema": 0.99},
                **config,
            },
            "data": {
                "name": dataset,
                "source": "scikit-learn digits (Alpaydin and Kaynak 1998), CC BY 4.0",
                "shape": [8, 8, 1],
                "n_classes": 10,
                "class_names": [str(k) for k in range(10)],
                "n_members": n,
                "n_units": n,
                "unit": "image",
                "n_nonmembers": 500,
                "n_reference": 437,
                "n_test": 360,
                "members_per_class": [50] * 10,
                "subset": "random",
                "seed": seed,
                "sha256_members": f"{seed:064x}",
                "notes": {},
            },
            "privacy": {
                "eps": eps,
                "delta": 2e-4,
                "noise_multiplier": 0.0 if eps == "inf" else 8.2134,
                "clip_norm": 1.0,
                "sampling_rate": 0.25,
                "capacity": 174,
                "steps": 400,
                "relation": "add_or_remove_one",
                "accountant": "none" if eps == "inf" else "pld",
                "unit": "image",
                "noise_seed_disclosed": False,
                "statement": f"Every step adds noise: ({eps}, 0.0002) per image, add or remove.",
                "attacks": {
                    "loss": {
                        "auc": m(auc, 0.036, 1000),
                        "tpr_at_1_fpr": m(0.012, 0.009, 500),
                        "advantage": m(0.05, 0.04, 1000),
                    },
                    "nearest_sample": {
                        "auc": m(auc - 0.01, 0.036, 1000),
                        "tpr_at_1_fpr": m(0.008, 0.007, 500),
                        "advantage": m(0.04, 0.03, 1000),
                    },
                },
                "audit": None,
            },
            "fidelity": {
                "synthetic": {
                    "kid": m(0.0412, 0.006),
                    "fd": m(6.31, 0.7),
                    "precision": m(0.71, 0.05),
                    "recall": m(0.55, 0.05),
                    "density": m(0.64, 0.08),
                    "coverage": m(0.62, 0.05),
                    "near_copies": m(0.004, 0.004, 1000),
                },
                "real": {
                    "kid": m(-0.0003, 0.0021),
                    "fd": m(1.21, 0.2),
                    "precision": m(0.93, 0.03),
                    "recall": m(0.94, 0.03),
                    "density": m(1.01, 0.07),
                    "coverage": m(0.95, 0.02),
                    "near_copies": m(0.006, 0.005, 500),
                },
                "features": {"network": "domain", "n_reference": 437},
            },
            "utility": {
                "synthetic": {
                    "accuracy": m(accuracy, 0.038),
                    "balanced_accuracy": m(accuracy - 0.004, 0.04),
                    "auc": m(0.972, 0.011),
                },
                "members": {
                    "accuracy": m(0.941, 0.024),
                    "balanced_accuracy": m(0.94, 0.025),
                    "auc": m(0.996, 0.003),
                },
            },
            "cost": {
                "seconds": {
                    "calibrate": 8.13,
                    "train": 41.7,
                    "sample": 2.91,
                    "evaluate": 12.6,
                    "total": 65.3,
                },
                "steps": 400,
                "examples": 50012,
                "device": "cpu, 2 cores",
            },
            "versions": {
                "fpu": "0.1.0",
                "jax": "0.10.2",
                "flax": "0.12.1",
                "optax": "0.2.6",
                "dp_accounting": "0.6.0",
                "numpy": "2.4.6",
                "python": "3.11.9",
            },
        }
    )


def runs(model, eps, accuracies, coverage=0.6, auc=0.51, **config):
    """A record for each accuracy, of seeds 0, 1, ..."""
    records = []
    for seed, accuracy in enumerate(accuracies):
        one = record(model, eps, accuracy, auc, seed=seed, **config)
        one["fidelity"]["synthetic"]["coverage"] = m(coverage + 0.001 * seed, 0.05)
        records.append(one)
    return records
