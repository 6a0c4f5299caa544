"""Finding and reading record.json files, and asking a record for what it holds.

A record is one JSON object per run: config, data, privacy, fidelity, utility, cost, versions. A
metric in it is {"value", "low", "high", "n"}, low to high its 95 % interval, or {"value": None,
"reason"}.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import fpu
from fpu.files import storage
from fpu.report import schema

SCHEMA = 1
BASELINES = ("gaussian", "merf", "fresh", "copycat", "noise")
_REQUIRED = {
    "config": ("model",),
    "data": ("name", "shape", "n_classes", "n_members"),
    "privacy": ("eps", "delta"),
    "fidelity": (),
    "utility": (),
    "cost": (),
    "versions": (),
}


def read(paths: Iterable[str | Path]) -> list[dict]:
    """The records in `paths`: files, or folders searched for record.json and *.record.json.

    Each file is read once, however often it is named; the order is that of `paths`, then by name.
    Raises fpu.InputError, naming the file, if one is missing, damaged, no record of this schema, or a copy of
    another.
    """
    files: dict[Path, Path] = {}
    for path in map(storage.place, paths):
        for file in _search(path):
            files.setdefault(file if storage.remote(file) else file.resolve(), file)
    if not files:
        raise fpu.InputError("no record given: name a record.json, or a folder that holds some")
    found: dict[str, Path] = {}
    runs = []
    for file in files.values():
        runs.append(_load(file))
        held = runs[-1] | {
            "data": runs[-1]["data"] | {"members": None}
        }  # known in run folders only
        content = json.dumps(held, sort_keys=True)
        if (other := found.setdefault(content, file)) != file:
            raise fpu.InputError(
                f"{file}: the same run as {other}, and would count twice; name one of them"
            )
    return runs


def _search(path: Path) -> list[Path]:
    with storage.reached(path):
        if not path.is_dir():
            return [path]
    if not (found := storage.records(path)):
        raise fpu.InputError(f"{path}: no record.json in this folder or below it")
    return found


def _load(file: Path) -> dict:
    try:
        with storage.reached(file):
            content = file.read_bytes()
    except OSError as error:
        raise fpu.InputError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        record = json.loads(content.decode("utf-8"))
    except ValueError as error:  # not UTF-8, or not JSON
        raise fpu.InputError(f"{file}: not JSON, perhaps cut short ({error})") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise fpu.InputError(f"{file}: not a record of fpu (no 'schema' in it)")
    if record["schema"] != SCHEMA:
        held = f"schema {record['schema']!r}, but this fpu reads {SCHEMA}"
        raise fpu.InputError(f"{file}: {held}; use the fpu that wrote it")
    for section, keys in _REQUIRED.items():
        held = record.get(section)
        missing = [key for key in keys if key not in held] if isinstance(held, dict) else [section]
        if missing:
            raise fpu.InputError(f"{file}: damaged record, '{section}' lacks {missing[0]!r}")
    if (path := schema.wrong(record)) is not None:
        raise fpu.InputError(f"{file}: damaged record, {path} is not what it should be")
    record["data"]["members"] = _members(file, record)
    return record


def _members(file: Path, record: dict) -> list[int] | None:
    """Which images the members are, from the manifest in the run's own folder: a record does not tell."""
    try:
        manifest = json.loads((file.parent / "manifest.json").read_text(encoding="utf-8"))
        same = manifest["sha256_members"] == record["data"].get("sha256_members")
        return manifest["members"] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def eps(record: dict) -> float:
    """The record's epsilon; infinity where nothing is guaranteed."""
    return float(record["privacy"]["eps"])


def metric(record: dict, *path: str) -> dict:
    """The metric at `path`, as in metric(record, "utility", "synthetic", "accuracy")."""
    node = record
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict) and "value" in node:
        return node
    return {"value": None, "reason": "not in this record"}


def known(*metrics: dict) -> bool:
    """Whether all of these metrics have a value."""
    return all(m["value"] is not None and math.isfinite(m["value"]) for m in metrics)


def attacks(record: dict) -> list[tuple[str, dict]]:
    """(name, AUC) of every membership attack with an AUC, the strongest first."""
    aucs = [
        (name, metric(record, "privacy", "attacks", name, "auc"))
        for name in record["privacy"].get("attacks") or {}
    ]
    return sorted((a for a in aucs if known(a[1])), key=lambda a: -a[1]["value"])
