"""The curves measured so far, as a small table that is part of the package: what to expect of a run before it is made.

`python -m experiments.curves` makes measured.csv from the committed records. A line is one setting, over its runs.
"""

import functools
import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from fpu import intervals
from fpu.report import records
from fpu.report.settings import by

PATH = pathlib.Path(__file__).with_name("measured.csv")
FAR = 3.0  # times more or less signal: what was measured there says nothing here
OFTEN = 3  # runs: the best of few runs is a lucky one


class Row(NamedTuple):
    """One setting of a model whose whole budget is one release; scores and coverage in percent."""

    dataset: str
    n: int
    classes: int
    side: int  # pixels
    model: str
    prior: str  # none where there was none
    eps: float
    noise: float  # the release's noise multiplier
    runs: int
    score: str  # accuracy, or auc (macro AUC)
    value: float  # mean of a small net that knows synthetic images alone, tested on real ones
    half: float | None  # half of the 95 % t interval over the runs; None of one run
    rival: float | None  # the private classifier of the members at this eps
    members: float | None  # the same net that knows the members, without privacy
    coverage: float | None  # real images that have a synthetic one near
    seconds: float | None  # of a run, median of those on CPU cores; None where there was none

    @property
    def signal(self) -> float:
        """Members of a class over the noise multiplier: how far a class mean stands out of the noise."""
        return self.n / self.classes / self.noise


@functools.lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """The committed table."""
    table = pd.read_csv(PATH)
    table = table.astype(object).where(table.notna(), None)
    return tuple(Row(*line) for line in table.itertuples(index=False, name=None))


def nearest(dataset: str, signal: float, prior: bool) -> list[Row]:
    """The rows of that setting of `dataset` whose signal is nearest: often measured first, then the best.

    prior: whether a public prior helped. A factor of more than FAR is not near: then there are none.
    """
    own = [row for row in rows() if row.dataset == dataset and (row.prior != "none") == prior]
    if not own:
        return []

    def factor(row: Row) -> float:
        return abs(math.log(row.signal / signal))

    near = min(own, key=factor)
    if factor(near) > math.log(FAR):
        return []
    same = [row for row in own if (row.n, row.noise) == (near.n, near.noise)]
    return sorted(same, key=lambda row: (row.runs < OFTEN, -row.value))


def of(runs: Sequence[dict]) -> list[Row]:
    """The rows that records give: runs of the corrected preset, judged quickly, whose whole budget was one release."""
    return [_row(key, some) for key, some in sorted(by(filter(_counts, runs), _setting).items())]


def _counts(run: dict) -> bool:
    """Whether a run is one of those: more images and longer training would say more of the same release."""
    config, stages = run["config"], run["privacy"].get("stages") or ()
    usual = (config.get("preset"), config.get("evaluation")) == ("corrected", "quick")
    if not usual or "diverged" in run or len(stages) != 1:
        return False
    return set(stages[0]) == {"noise_multiplier"} and bool(stages[0]["noise_multiplier"])


def _setting(run: dict) -> tuple:
    """The first fields of a run's Row, up to its noise."""
    data, config, (stage,) = run["data"], run["config"], run["privacy"]["stages"]
    facts = data["name"], data["n_members"], data["n_classes"], data["shape"][0], config["model"]
    noise = float(f"{stage['noise_multiplier']:.3g}")
    return (*facts, config.get("prior") or "none", float(f"{records.eps(run):.2g}"), noise)


def _row(key: tuple, runs: Sequence[dict]) -> Row:
    score = "accuracy" if key[0] in ("digits", "mnist") else "auc"
    values = _values(runs, "utility", "synthetic", score)
    if len(values) > 1:
        found = intervals.t_interval(values)
        value, half = found["value"], (found["high"] - found["low"]) / 2
    else:
        value, half = values[0], None
    means = (
        _mean(_values(runs, "utility", "private_classifier", score)),
        _mean(_values(runs, "utility", "members", score)),
        _mean(_values(runs, "fidelity", "synthetic", "coverage")),
    )
    on_cpu = (run["cost"] for run in runs if run["cost"]["device"] == "cpu")
    seconds = [float(cost["seconds"]["total"]) for cost in on_cpu]
    middle = statistics.median_high(seconds) if seconds else None
    return Row._make((*key, len(runs), score, value, half, *means, middle))


def _values(runs: Sequence[dict], *path: str) -> list[float]:
    found = (records.metric(run, *path)["value"] for run in runs)
    return [100 * value for value in found if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
