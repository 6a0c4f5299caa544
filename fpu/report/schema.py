"""What a record that was read must hold, before tables, figures and pages are made from it."""

import base64
from typing import Any

from fpu.record import SCHEMA

_PNG = b"\x89PNG\r\n\x1a\n"


def at(node: Any, *path: str) -> Any:
    """What stands at a path of keys in nested dicts; None where nothing does."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


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
            value = at(record, *path.split("."))
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
        other = node.get("another", [0, 0])
        if not (_list_of(_number)(other) and len(other) == 2):
            return f"{path}.another"[1:]
        if node["value"] is None and not _text(node.get("reason", "")):
            return f"{path}.reason"[1:]
    return next((bad for k, v in node.items() if (bad := _bad_metric(v, f"{path}.{k}"))), None)


def _number(value) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= 2**53)


def _count(value) -> bool:
    return type(value) is int and 0 <= value <= 2**53


def _positive(value) -> bool:
    return _count(value) and value > 0


def _text(value) -> bool:
    return isinstance(value, str)


def _dict(value) -> bool:
    return isinstance(value, dict)


def _row(value) -> bool:
    return value is None or _dict(value)


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
    "data": ("name", "shape", "n_classes", "n_members", "sha256_data"),
    "privacy": ("eps", "delta"),
    **{section: () for section in ("fidelity", "utility", "cost", "versions")},
}
_CROSSED = {"folds", "n", "utility", "fidelity", "attacks"}  # of fpu/crossfit.py
_KINDS = (  # whether a value fits, and where it must
    (_text, "config.model config.dataset config.preset config.size config.prior"),
    (_text, "config.evaluation config.prior_version prior.name prior.version prior.knows"),
    (_text, "data.name data.source data.unit data.subset data.sha256_members data.sha256_data"),
    (_text, "privacy.relation privacy.accountant privacy.unit privacy.statement privacy.proof"),
    (_text, "cost.device diverged"),
    (_number, "config.clip_norm config.warmup_share"),
    (_number, "privacy.noise_multiplier privacy.clip_norm privacy.sampling_rate"),
    (_count, "config.steps config.n_samples config.seed"),
    (_count, "config.draws config.draw_steps config.components config.code"),
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
    (_dict_of(_attack), "privacy.attacks cross_fitted.attacks"),
    (lambda part: _dict(part) and part.keys() >= _CROSSED, "cross_fitted"),
    (_positive, "cross_fitted.folds cross_fitted.n"),
    (_list_of(_dict), "privacy.stages"),
    (_dict_of(_row), "fidelity utility cross_fitted.fidelity cross_fitted.utility"),
    (_dict_of(_number), "cost.seconds"),
    (_dict_of(_text), "versions data.notes"),
    (_thumbnail, "thumbnails"),
)
