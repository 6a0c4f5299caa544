"""A run's record: one JSON object, schema 1. Tables, figures and pages are made from records alone."""

import importlib.metadata
import math
import platform

import jax

import fpu
from fpu import data
from fpu.dp.plan import DPSGD

SCHEMA = 1


def make(job, eps: float, accountant: str, judged: dict, seconds: dict, audit=None) -> dict:
    """The record of a finished run.

    Args:
      job: the pipeline.Job.
      eps, accountant: what `accounting.epsilon` said of its plan.
      judged: what `evaluation.evaluate` returned.
      seconds: {part: seconds}.
      audit: what `auditing.run` returned.
    """
    config, plan = job.config, job.plan
    return {
        "schema": SCHEMA,
        "config": config,
        "data": data_section(job.dataset, job.split, config),
        "privacy": _privacy(plan, eps, accountant, config) | attacked(judged) | {"audit": audit},
        "fidelity": judged["fidelity"],
        "utility": judged["utility"],
        "cost": _cost(plan, seconds),
        "versions": versions(),
    }


def attacked(judged: dict) -> dict:
    """What was tried on the images and the model, for the record's `privacy`."""
    names = ("attacks", "distance_to_closest_record", "empirical_epsilon")
    return {name: judged[name] for name in names if name in judged}


def data_section(dataset, split, config) -> dict:
    """The record's `data`: the manifest without the indices."""
    facts = data.manifest(dataset, split)
    kept = {k: v for k, v in facts.items() if not isinstance(v, list) or k.endswith("_per_class")}
    return kept | {
        "name": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.shape),
        "n_classes": dataset.n_classes,
        "class_names": list(dataset.class_names),
        "subset": config["subset"],
        "seed": config["seed"],
    }


def _privacy(plan, eps, accountant, config) -> dict:
    stage = plan.stages[-1] if plan.stages else None  # DP-SGD where there is one
    return {
        "eps": "inf" if math.isinf(eps) else eps,
        "delta": plan.delta,
        "noise_multiplier": stage.noise_multiplier if stage else 0.0,
        "clip_norm": config["clip_norm"] if plan.private else None,
        "sampling_rate": getattr(stage, "sampling_rate", None),
        "capacity": getattr(stage, "capacity", None),
        "steps": getattr(stage, "steps", 0),
        "relation": plan.relation,
        "accountant": accountant,
        "unit": plan.unit,
        "stages": config["stages"],
        "noise_seed_disclosed": config["noise_seed"] is not None,
        "statement": plan.statement(config["noise_seed"] is not None),
    }


def _cost(plan, seconds) -> dict:
    sgd = [stage for stage in plan.stages if isinstance(stage, DPSGD)]
    return {
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "steps": sum(stage.steps for stage in sgd),
        "examples": round(sum(stage.steps * stage.denominator for stage in sgd)),
        "device": jax.devices()[0].device_kind,
    }


def versions() -> dict:
    """Of the packages that numbers depend on."""
    packages = ("jax", "flax", "optax", "dp-accounting", "numpy")
    known = {name.replace("-", "_"): importlib.metadata.version(name) for name in packages}
    return {"fpu": fpu.__version__, "python": platform.python_version()} | known
