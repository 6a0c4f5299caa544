"""Which runs are of one setting: data by their content, flags by their values. A row of a table is one setting."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fpu.report.words import model_name

# Runs of one setting may differ in these: what is drawn anew, what follows from other settings, what only adds rows.
_FREE = (
    "seed noise_seed sha256_members stages repeats folds dataset set labels eps noise_multiplier model preset "
    "warmup_share proof differs audit"
)
# By which protocol, on the name of the data.
JUDGED = {"full": " (judged in full)", "field": " (judged as the field does)"}
_SHORT = {
    "model_config": "model",
    "sha256_synthetic": "file",
    "subset": "data.subset",
    "size": "model.size",
}


def by(runs: Iterable, key: Callable) -> dict:
    """Runs in lists, by a key, in the order of first sight."""
    groups: dict = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def tell_apart(runs: Sequence[dict]) -> None:
    """Put into the records what their names leave out.

    data.name: data of one name and another content get a part of their hash as well. Where utility was judged by the
    protocol of the field, the name says so: tables, figures and comparisons are of one name, so protocols do not mix.
    config.differs: "model.width=8, steps=300" where runs of one model, on the same data, of the same number of members
    and the same eps, differ in more than chance; for all runs of that model and data. words.model_name prints it.
    """
    _name_contents(runs)
    for run in runs:
        run["config"].pop("differs", None)
    for family in by(runs, lambda r: (r["data"]["name"], model_name(r["config"]))).values():
        cells = by(family, lambda r: (r["data"]["n_members"], f"{float(r['privacy']['eps']):.3g}"))
        names = sorted(set().union(*map(_differing, cells.values())))
        for run in family if names else ():
            values = dict(_flat(run))
            shown = (f"{name}={_text(values[name])}" for name in names if name in values)
            run["config"]["differs"] = ", ".join(shown)


def _name_contents(runs: Sequence[dict]) -> None:
    """A name whose records hold several contents is told apart by their hash, and protocols by JUDGED."""
    for name, some in by(runs, lambda run: run["data"]["name"]).items():
        contents, path = by(some, lambda run: run["data"]["sha256_data"]), Path(name)
        for sha, alike in contents.items():
            own = f"{path.stem} ({sha[:8]}){path.suffix}" if len(contents) > 1 else name
            for run in alike:
                mark = JUDGED.get(run["config"].get("evaluation"), "")
                run["data"]["name"] = own.removesuffix(mark) + mark


def _differing(runs: Sequence[dict]) -> set[str]:
    """Names of the settings in which these runs differ. One that a record lacks differs from none, but for a code:
    before there were codes, models were conditioned on none.
    """
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in (*_flat(run), ("code", run["config"].get("code"))):
            values.setdefault(name, set()).add(json.dumps(value, sort_keys=True))
    return {name for name, seen in values.items() if len(seen) > 1}


def _flat(run: dict) -> Iterator[tuple[str, Any]]:
    """(name, value) of what may not differ within a setting, as --set names it."""
    no_noise = run["privacy"]["eps"] == "inf"  # so delta says nothing
    for key, value in run["config"].items():
        if value is None or key in _FREE.split() or (key == "delta" and no_noise):
            continue
        if isinstance(value, dict):
            yield from ((f"{_SHORT.get(key, key)}.{name}", inner) for name, inner in value.items())
        else:
            yield _SHORT.get(key, key), value


def _text(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # a hash
        return value[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
