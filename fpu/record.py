"""A run's record: one JSON object of schema 1. Tables, figures and pages are made from records alone.

    config, data, privacy, fidelity, utility, cost, versions; where a public prior helped, prior

Every metric in it is {"value", "low", "high", "n"}, low to high its 95 % interval, or {"value": None, "reason"}. Where
the noise of the mechanism moves it, "another" is [low, high] of another run at the same settings (intervals.another).
This file writes records (`make`, `assemble`) and checks those that were read (`problem`).
"""

import base64
import hashlib
import importlib.metadata
import math
import platform

import jax
import numpy as np

import fpu
from fpu import data
from fpu.dp.plan import DPSGD, Plan

SCHEMA = 1
_PNG = b"\x89PNG\r\n\x1a\n"


def make(job, eps: float, accountant: str, judged: dict, seconds: dict, audit=None) -> dict:
    """The record of a finished run.

    Args:
      job: the pipeline.Job.
      eps, accountant: what `accounting.epsilon` returned for its plan.
      judged: what `evaluation.evaluate` returned.
      seconds: {part: seconds}.
      audit: what `auditing.run` returned.
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
    if job.prior:
        record["prior"] = prior_section(job.prior, job.dataset.images[job.split.members])
    return record


def assemble(config: dict, data: dict, privacy: dict, judged: dict, cost: dict) -> dict:
    """A record from its sections.

    Args:
      config: what was asked for.
      data, privacy, cost: as `data_section`, `privacy_section` and `cost_section` return them.
      judged: what `evaluation.evaluate` returned; its attacks and distances join `privacy`.
    """
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
    """The record's `data`: the manifest without the indices.

    Args:
      dataset, split: a data.Dataset and its data.Split.
      subset, seed: how the members were chosen, in a word, and by which seed.
    """
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
    digest = hashlib.sha256()
    parts = (dataset.images, dataset.labels, dataset.split, dataset.groups)
    for part in (np.asarray([], np.int32) if part is None else part for part in parts):
        digest.update(f"{part.dtype.str} {part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


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
    """The record's `prior`: what it is, and how many members are, pixel for pixel, among its images.

    Args:
      prior: a priors.Prior.
      members: uint8 [n, H, W, C].
    """
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


def problem(record: object) -> str | None:
    """What is wrong with a record that was read, in words; None where tables, figures and pages can use it."""
    if not isinstance(record, dict) or "schema" not in record:
        return "not a record of fpu (no 'schema' in it)"
    if record["schema"] != SCHEMA:
        return (
            f"schema {record['schema']!r}, but this fpu reads {SCHEMA}; use the fpu that wrote it"
        )
    for section, keys in _REQUIRED.items():
        if not isinstance(record.get(section), dict):
            return f"damaged record, it lacks '{section}'"
        for key in keys:
            if record[section].get(key) is None:
                return f"damaged record, '{section}' lacks '{key}'"
    for fits, paths in _KINDS:
        for path in paths.split():
            value = record
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None and not fits(value):
                return f"damaged record, {path} is not what it should be"
    bad = _bad_metric(record)
    return f"damaged record, {bad} is not what it should be" if bad else None


def _bad_metric(node, path: str = "") -> str | None:
    """The path of the first metric below `node`, a dict with a 'value', that holds no numbers."""
    if not isinstance(node, dict):
        return None
    if "value" in node:
        for key in ("value", "low", "high", "n"):
            if node.get(key) is not None and not _number(node[key]):
                return f"{path}.{key}"[1:]
        if not _pair(node.get("another", [0, 0])):
            return f"{path}.another"[1:]
        if node["value"] is None and not _text(node.get("reason", "")):
            return f"{path}.reason"[1:]
    return next((bad for k, v in node.items() if (bad := _bad_metric(v, f"{path}.{k}"))), None)


def _number(value) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= 2**53)


def _pair(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _count(value) -> bool:
    return type(value) is int and 0 <= value <= 2**53


def _positive(value) -> bool:
    return _count(value) and value > 0


def _text(value) -> bool:
    return isinstance(value, str)


def _dict(value) -> bool:
    return isinstance(value, dict)


def _list_of(fits):
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _dict_of(fits):
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _attack(value) -> bool:
    """Metrics of an attack, and maybe a ROC curve {'fpr', 'tpr'} of equally many rates."""
    if not _dict(value) or value.get("roc") is None:
        return _dict(value)
    roc = value["roc"]
    rates = _dict_of(_list_of(_number))
    return rates(roc) and len(roc.get("fpr", "")) == len(roc.get("tpr", "")) > 0


def _thumbnail(text) -> bool:
    """A PNG in base64, not too long: a record may come from anywhere, and a page shows this as an image."""
    if not isinstance(text, str) or len(text) > 2**20:
        return False
    try:
        return base64.b64decode(text, validate=True).startswith(_PNG)
    except ValueError:
        return False


_REQUIRED = {
    "config": ("model",),
    "data": ("name", "shape", "n_classes", "n_members"),
    "privacy": ("eps", "delta"),
    **{section: () for section in ("fidelity", "utility", "cost", "versions")},
}
_KINDS = (  # whether a value fits, and where it must
    (_text, "config.model config.dataset config.preset config.size config.warmup config.prior"),
    (_text, "config.prior_version prior.name prior.version prior.knows"),
    (_text, "data.name data.source data.unit data.subset data.sha256_members data.sha256_data"),
    (_text, "privacy.relation privacy.accountant privacy.unit privacy.statement privacy.proof"),
    (_text, "cost.device diverged"),
    (_number, "config.clip_norm config.sampling_rate config.warmup_share"),
    (_number, "privacy.noise_multiplier privacy.clip_norm privacy.sampling_rate"),
    (_count, "config.steps config.n_samples config.seed config.warmup_steps"),
    (_count, "config.draws config.draw_steps config.components config.drawn_for_each"),
    (_count, "prior.n_images prior.members_among_them"),
    (_count, "data.n_nonmembers data.n_reference data.n_test data.seed"),
    (_count, "privacy.capacity privacy.steps fidelity.features.n_reference"),
    (_count, "cost.steps cost.examples"),
    (_positive, "data.n_classes data.n_members data.n_units config.n_public"),
    (_dict, "config.model_config config.recipe data.notes privacy.audit prior"),
    (_list_of(_count), "data.members_per_class"),
    (_list_of(_text), "data.class_names data.look"),
    (lambda shape: _list_of(_positive)(shape) and len(shape) == 3, "data.shape"),
    (lambda eps: eps == "inf" or (_number(eps) and eps >= 0), "privacy.eps"),
    (lambda delta: _number(delta) and 0 <= delta < 1, "privacy.delta"),
    (_dict_of(_attack), "privacy.attacks"),
    (_list_of(_dict), "privacy.stages"),
    (_dict_of(lambda row: row is None or _dict(row)), "fidelity utility"),
    (_dict_of(_number), "cost.seconds"),
    (_dict_of(_text), "versions data.notes"),
    (_thumbnail, "thumbnails"),
)
