"""A run's record: one JSON object of schema 1. Tables, figures and pages are made from records alone.

    config, data, privacy, fidelity, utility, cost, versions; where a public prior helped, prior; where copies without
    a part of the members were judged on that part, cross_fitted (fpu/crossfit.py)

Every metric in it is {"value", "low", "high", "n"}, low to high its 95 % interval, or {"value": None, "reason"}. Where
the noise of the mechanism moves it, "another" is [low, high] of another run at the same settings (intervals.another).
`report/schema.py` checks those that were read.
"""

import importlib.metadata
import math
import platform

import jax
import numpy as np

import fpu
from fpu import data
from fpu.dp.plan import DPSGD, Plan
from fpu.files import cache

SCHEMA = 1


def make(job, eps: float, accountant: str, judged: dict, seconds: dict, audit=None) -> dict:
    """The record of a finished run: of a pipeline.Job, and what accounting.epsilon, evaluation.evaluate and
    auditing.run returned for it. seconds: {part: seconds}.
    """
    config, plan = job.config, job.plan
    sgd = [stage for stage in plan.stages if isinstance(stage, DPSGD)]
    steps = {
        "steps": sum(stage.steps for stage in sgd),
        "examples": round(sum(stage.steps * stage.denominator for stage in sgd)),
    }
    record = assemble(
        config,
        data_section(job.dataset, job.split, config["subset"], config["seed"]),
        privacy_section(plan, eps, accountant, config),
        judged,
        cost_section(seconds, steps),
    )
    record["privacy"]["audit"] = audit
    if "cross_fitted" in judged:
        record["cross_fitted"] = judged["cross_fitted"]
    if job.prior:
        record["prior"] = prior_section(job.prior, job.dataset.images[job.split.members])
    return record


def assemble(config: dict, data: dict, privacy: dict, judged: dict, cost: dict) -> dict:
    """A record from its sections. judged: what evaluation.evaluate returned; its attacks join `privacy`."""
    tried = ("attacks", "distance_to_closest_record", "empirical_epsilon")
    return {
        "schema": SCHEMA,
        "config": config,
        "data": data,
        "privacy": privacy | {name: judged[name] for name in tried if name in judged},
        "fidelity": judged["fidelity"],
        "utility": judged["utility"],
        "cost": cost,
        "versions": _versions(),
    }


def data_section(dataset, split, subset: str, seed: int) -> dict:
    """The record's `data`: the manifest without the indices. subset: how members were chosen, in a word."""
    facts = data.manifest(dataset, split)
    facts = {k: v for k, v in facts.items() if not isinstance(v, list) or k.endswith("_per_class")}
    return facts | {
        "name": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.shape),
        "n_classes": dataset.n_classes,
        "class_names": list(dataset.class_names),
        "sha256_data": _content(dataset),
        "subset": subset,
        "seed": seed,
        "look": data.look(dataset, split),
    }


def _content(dataset) -> str:
    """SHA-256 of everything in a data set but its name: files of one name need not hold the same images."""
    groups = np.asarray([], np.int32) if dataset.groups is None else dataset.groups
    return cache.digest(dataset.images, dataset.labels, dataset.split, groups)


def privacy_section(plan: Plan, eps: float, accountant: str, config: dict) -> dict:
    """The record's `privacy`, of what is proved. Numbers of a mechanism are those of DP-SGD, where there is one."""
    stage = plan.stages[-1] if plan.stages else None
    disclosed = config["noise_seed"] is not None
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
        "noise_seed_disclosed": disclosed,
        "statement": plan.statement(disclosed),
    }


def prior_section(prior, members) -> dict:
    """The record's `prior`: what it is, and how many members, uint8 [n, H, W, C], are among its images."""
    public = {image.tobytes() for image in prior.images}
    return {
        "name": prior.name,
        "version": prior.version,
        "knows": prior.knows,
        "n_images": len(prior.images),
        "members_among_them": sum(image.tobytes() in public for image in members),
    }


def cost_section(seconds: dict, steps: dict) -> dict:
    """The record's `cost`: {part: seconds}, counts of steps and examples, and the device."""
    rounded = {name: round(value, 2) for name, value in seconds.items()}
    return {"seconds": rounded, **steps, "device": jax.devices()[0].device_kind}


def _versions() -> dict:
    """Of the packages that numbers depend on."""
    names = ("jax", "flax", "optax", "dp-accounting", "numpy")
    packages = {name.replace("-", "_"): importlib.metadata.version(name) for name in names}
    return {"fpu": fpu.__version__, "python": platform.python_version()} | packages
