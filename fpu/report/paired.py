"""Comparing models at matched settings: same data, number of members and noise; runs paired by their members."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from fpu.report import records
from fpu.report.tables import COLUMNS, over_runs
from fpu.report.wording import model_name, number

AXES = {  # axis: (its metrics, the first that both sides have; +1 where higher is better)
    "utility": (("accuracy %", "AUC"), 1),
    "fidelity": (("coverage", "KID"), 1),
    "privacy": (("attack AUC",), -1),
}
_LOWER = {"KID": -1}
UNPROTECTED = (
    "copycat",
    "fresh",
    "noise",
)  # without a mechanism: in no comparison of private models


class Setting(NamedTuple):
    """What runs must share to be held against each other."""

    dataset: str
    n: int
    delta: float  # 0 where nothing is private, or the noise is nominal
    level: float  # more is more noise
    noise: str  # "ε = 1"; of the paper preset, whose noise is nominal, "σ = 0.1"

    def words(self) -> str:
        """For a caption."""
        delta = f", δ = {number(self.delta)}" if self.delta else ""
        return f"{self.dataset}, n = {self.n:,}, {self.noise}{delta}"


def setting(record: dict) -> Setting:
    """Of one run. Where nothing is private there is no delta."""
    data, sigma = record["data"], record["privacy"].get("noise_multiplier") or 0.0
    eps = rounded(record)
    delta = 0.0 if math.isinf(eps) else record["privacy"]["delta"]
    if nominal(record):
        return Setting(data["name"], data["n_members"], 0.0, sigma, f"σ = {sigma:g}")
    return Setting(
        data["name"], data["n_members"], delta, 1 / eps if eps else math.inf, f"ε = {number(eps)}"
    )


def rounded(record: dict) -> float:
    """eps as printed: 0.99996, which calibration gives for 1, is 1."""
    return float(f"{records.eps(record):.3g}")


def nominal(record: dict) -> bool:
    """Whether a run's noise is a multiplier that nobody calibrated, as that of the paper is."""
    return record["config"].get("preset") == "paper"


def by(runs: Iterable[dict], key: Callable) -> dict:
    """Runs in lists, by a key, in the order of first sight."""
    found: dict = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def settings(runs: Sequence[dict]) -> dict[Setting, dict[str, list[dict]]]:
    """{setting: {model: its runs}}, of settings in which two models or more were tried. No real images among them."""
    runs = [r for r in runs if r["config"]["model"] not in UNPROTECTED]
    found = {where: by(mine, name) for where, mine in by(runs, setting).items()}
    return {where: mine for where, mine in sorted(found.items()) if len(mine) > 1}


def name(record: dict) -> str:
    """The model, as tables name it."""
    return model_name(record["config"])


def subset(record: dict) -> tuple:
    """What makes runs a pair: seed and members."""
    return record["config"].get("seed"), record["data"].get("sha256_members")


def axis(record: dict, which: str) -> dict:
    """A run's metric on one of AXES, turned so that more is better."""
    columns, sign = AXES[which]
    for column in columns:
        found = COLUMNS[column][0](record)
        if records.known(found):
            sign *= _LOWER.get(column, 1)
            ends = sorted(sign * found[k] for k in ("low", "high") if found.get(k) is not None)
            low, high = ends if len(ends) == 2 else (None, None)
            return {"value": sign * found["value"], "low": low, "high": high, "n": found.get("n")}
    return {"value": None, "reason": "not in this record"}


def difference(ours: Sequence[dict], theirs: Sequence[dict], read: Callable) -> dict | None:
    """Mean of `read` of ours less theirs over pairs, with a 95 % t interval from two pairs on; None without a pair."""
    others = {subset(r): read(r) for r in theirs}
    gains = []
    for run in ours:
        mine, other = read(run), others.get(subset(run), {"value": None})
        if records.known(mine, other):
            gains.append({"value": mine["value"] - other["value"], "low": None, "high": None})
    return over_runs(gains)


def clear(found: dict | None) -> int:
    """+1 or -1 where an interval lies above or below 0, else 0."""
    if found is None or found["low"] is None:
        return 0
    return int(found["low"] > 0) - int(found["high"] < 0)


def orders(runs: Sequence[dict], axes: tuple[str, str]) -> list[tuple[Setting, str, str, int, int]]:
    """(setting, model, model, order on one axis, on the other) of all pairs of models that are clear on both."""
    found = []
    for where, models in settings(runs).items():
        for a, b in combinations(models, 2):
            signs = [
                clear(difference(models[a], models[b], lambda r, w=which: axis(r, w)))
                for which in axes
            ]
            if all(signs):
                found.append((where, a, b, *signs))
    return found
