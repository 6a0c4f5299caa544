"""Of what kind the values of a record are, as far as tables, figures and pages rely on it."""

import numbers

from fpu.report import thumbnails


def wrong(record: dict) -> str | None:
    """The path of the first value that is not of its kind, as 'data.n_members'; None where all are."""
    for path, fits in _KINDS.items():
        node = record
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None and not fits(node):
            return ".".join(path)
        if node is None and path in _NEEDED:
            return ".".join(path)
    return _metrics(record)


def _number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _count(value) -> bool:
    return type(value) is int and 0 <= value <= 2**53


def _some(value) -> bool:
    return _count(value) and value > 0


def _text(value) -> bool:
    return isinstance(value, str)


def _list_of(fits):
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _dict_of(fits):
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _dict(value) -> bool:
    return isinstance(value, dict)


def _shape(value) -> bool:
    return _list_of(_some)(value) and len(value) == 3


_NEEDED = {("config", "model"), ("data", "name"), ("data", "shape"), ("data", "n_classes")}
_NEEDED |= {("data", "n_members"), ("privacy", "eps"), ("privacy", "delta")}
_KINDS = {
    **{("config", key): _text for key in ("model", "dataset", "preset", "size", "warmup")},
    **{("config", key): _count for key in ("steps", "n_samples", "seed", "warmup_steps")},
    **{("config", key): _number for key in ("clip_norm", "sampling_rate", "warmup_share")},
    **{("config", key): _dict for key in ("model_config", "recipe")},
    **{("data", key): _text for key in ("name", "source", "unit", "subset", "sha256_members")},
    **{("data", key): _some for key in ("n_classes", "n_members", "n_units")},
    **{("data", key): _count for key in ("n_nonmembers", "n_reference", "n_test", "seed")},
    ("data", "members_per_class"): _list_of(_count),
    ("data", "class_names"): _list_of(_text),
    ("data", "shape"): _shape,
    ("data", "notes"): _dict,
    ("privacy", "eps"): lambda value: value == "inf" or (_number(value) and value >= 0),
    ("privacy", "delta"): lambda value: _number(value) and 0 <= value < 1,
    **{("privacy", key): _number for key in ("noise_multiplier", "clip_norm", "sampling_rate")},
    **{("privacy", key): _count for key in ("capacity", "steps")},
    **{("privacy", key): _text for key in ("relation", "accountant", "unit", "statement")},
    ("privacy", "attacks"): _dict_of(_dict),
    ("privacy", "stages"): _list_of(_dict),
    ("cost", "seconds"): _dict_of(_number),
    **{("cost", key): _count for key in ("steps", "examples")},
    ("cost", "device"): _text,
    ("versions",): _dict_of(_text),
    ("diverged",): _text,
    ("thumbnails",): thumbnails.valid,
}


def _metrics(node, path="") -> str | None:
    """The path of the first metric below `node`, a dict with a 'value', that holds no numbers."""
    if not isinstance(node, dict):
        return None
    if "value" in node:
        for key in ("value", "low", "high", "n"):
            if node.get(key) is not None and not _number(node[key]):
                return f"{path}.{key}"[1:]
        if node["value"] is None and not _text(node.get("reason", "")):
            return f"{path}.reason"[1:]
    return next((w for k, v in node.items() if (w := _metrics(v, f"{path}.{k}"))), None)
