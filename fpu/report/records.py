"""Reading records, and asking one for what it holds. fpu/record.py says what a record is."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

from etils import epath

import fpu
from fpu import intervals
from fpu.files import storage
from fpu.report import schema, settings

Place = Path | epath.Path  # of this machine, or in a bucket
_TRAINING_LOG = "log.jsonl"


def read(paths: Iterable[str | storage.AnyPath]) -> list[dict]:
    """The records in `paths`.

    Args:
      paths: record.json files; .jsonl files with one record a line; folders, searched for record.json,
        *.record.json and *.jsonl (but for log.jsonl, a run's training log). Here or in a bucket.

    Each file is read once, however often it is named. The order is that of `paths`, then by name, then by line.
    Raises fpu.InputError, naming the file (and the line of a .jsonl file), if a record is missing, damaged, of
    another schema, or a copy of another. Data of one name and another content, and runs of one model and other
    settings, are told apart by their names (report/settings.py).
    """
    files: dict[Place, Place] = {}
    for path in map(storage.place, paths):
        for file in _search(path):
            files.setdefault(file if storage.remote(file) else file.resolve(), file)
    if not files:
        raise fpu.InputError(
            "no record given: name a record.json, a .jsonl of records, or a folder that holds some"
        )
    sources: dict[str, str] = {}  # a record's content: where it was read
    runs = []
    for file in files.values():
        for where, text in _texts(file):
            run = _parsed(where, text)
            if (other := sources.setdefault(json.dumps(run, sort_keys=True), where)) != where:
                raise fpu.InputError(
                    f"{where}: the same run as {other}, and would count twice; name one of them"
                )
            run["data"]["members"] = _members(file, run)
            runs.append(run)
    settings.tell_apart(runs)
    return runs


def _search(path: Place) -> list[Place]:
    with storage.reached(path):
        if not path.is_dir():
            return [path]
        lines = path.glob("*.jsonl") if storage.remote(path) else path.rglob("*.jsonl")
        studies = [file for file in lines if file.name != _TRAINING_LOG]
    if not (files := sorted({*storage.records(path), *studies})):
        raise fpu.InputError(f"{path}: no record.json and no .jsonl in this folder or below it")
    return files


def _texts(file: Place) -> list[tuple[str, bytes]]:
    """(where, JSON text) of each record of a file: one, or one a line. Empty lines are passed over."""
    try:
        with storage.reached(file):
            content = file.read_bytes()
    except OSError as error:
        raise fpu.InputError(f"{file}: cannot be read ({error.strerror})") from error
    if file.suffix != ".jsonl":
        return [(str(file), content)]
    lines = enumerate(content.split(b"\n"), start=1)
    texts = [(f"{file}, line {number}", line) for number, line in lines if line.strip()]
    if not texts:
        raise fpu.InputError(f"{file}: no record in this file")
    return texts


def _parsed(where: str, text: bytes) -> dict:
    """A record, checked. InputError that begins with `where` if it is none."""
    try:
        parsed = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON, or nested too deeply
        raise fpu.InputError(f"{where}: not JSON, perhaps cut short ({error})") from error
    if (wrong := schema.problem(parsed)) is not None:
        raise fpu.InputError(f"{where}: {wrong}")
    return parsed


def _members(file: Place, run: dict) -> list[int] | None:
    """Which images the members are, from the manifest in the run's own folder: a record does not say."""
    try:
        manifest = json.loads((file.parent / "manifest.json").read_text(encoding="utf-8"))
        same = manifest["sha256_members"] == run["data"].get("sha256_members")
        return manifest["members"] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def eps(run: dict) -> float:
    """The record's epsilon; infinity where nothing is guaranteed."""
    return float(run["privacy"]["eps"])


def metric(run: dict, *path: str) -> dict:
    """The metric at `path`, as in metric(run, "utility", "synthetic", "accuracy")."""
    node = schema.at(run, *path)
    if isinstance(node, dict) and "value" in node:
        return node
    return intervals.missing("not in this record")


def pair(run: dict, section: str, beside: str, *path: str) -> tuple[dict, dict]:
    """The metric at `path` of the synthetic images, and that of the row `beside`."""
    return metric(run, section, "synthetic", *path), metric(run, section, beside, *path)


def point(value: float, n: int | None = 1) -> dict:
    """A metric without an interval."""
    return {"value": value, "low": None, "high": None, "n": n}


def wide(m: dict) -> dict:
    """The metric with the interval of another run at its settings, where the record holds one (see intervals.another).

    What is released is one draw of the noise. Its own interval is for that one, and says nothing of the settings.
    """
    if m["value"] is None or not m.get("another"):
        return m
    return m | {"low": m["another"][0], "high": m["another"][1]}


def ends(m: dict) -> tuple[float, float]:
    """(low, high) of a metric that has a value; the value itself where an end is not known."""
    low, high = (m["value"] if m.get(end) is None else m[end] for end in ("low", "high"))
    return low, high


def known(*metrics: dict) -> bool:
    """Whether all of these metrics have a value."""
    return all(m["value"] is not None and math.isfinite(m["value"]) for m in metrics)


def attacks(run: dict) -> list[tuple[str, dict]]:
    """(name, AUC) of every membership attack with an AUC, the strongest first."""
    tried = run["privacy"].get("attacks") or {}
    aucs = [(name, metric(attack, "auc")) for name, attack in tried.items()]
    return sorted((a for a in aucs if known(a[1])), key=lambda a: -a[1]["value"])


def over_runs(metrics: Iterable[dict]) -> dict | None:
    """The mean of those that have a value, with its 95 % t interval; one alone keeps its own; None of none."""
    values = [m for m in metrics if known(m)]
    if len(values) < 2:
        return wide(values[0]) if values else None
    return intervals.t_interval([m["value"] for m in values])
