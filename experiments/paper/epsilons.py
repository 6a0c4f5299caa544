"""The paper's empirical epsilon beside what holds: the eps that the noise buys, an audit's bound, and attacks.

One row for each data set, model and noise of the paper's preset. A run has one audit at most, so a row may be
of several runs; where several have a number, the mean is shown, with its interval over them.
"""

from collections.abc import Sequence

from fpu.report import Section, compare, records
from fpu.report.metrics import FIDELITY, PAPER_EPSILON, UTILITY, find
from fpu.report.settings import by
from fpu.report.words import number, spoken

TITLE = "The empirical epsilon of arXiv:2606.07640 and the truth"
SHARE = 0.0, 1.0  # the ends of a share, and of an AUC
HEADER = (
    "images", "n", "model", "σ", "ε that it buys", "empirical ε, as coded", "audit: ε ≥", "strongest attack, AUC",
    "accuracy", "coverage"
)  # fmt: skip
ABOUT = (
    "Empirical ε: mean over queries, an image of each class. The factor d = 2 that its formula has and its code lacks "
    "doubles it. Audit: the best of several bounds, each at confidence 95 %; a low one proves nothing. Attack: AUC 0.5 "
    "is guessing. Intervals: 95 %."
)
_EPSILON, _ACCURACY = find(PAPER_EPSILON, "as_coded"), find(UTILITY, "accuracy")
_COVERAGE = find(FIDELITY, "coverage")


def section(runs: Sequence[dict]) -> Section | None:
    """The table of the runs at nominal noise; None where none of them has the paper's epsilon or an audit."""
    nominal = [r for r in runs if compare.nominal(r)]
    rows = [_row(where, some) for where, some in sorted(by(nominal, _place).items())]
    rows = [row for row in rows if {row[5], row[6]} != {"–"}]
    return Section(TITLE, [], HEADER, rows, ABOUT) if rows else None


def _place(run: dict) -> tuple:
    model, sigma = run["config"]["model"], run["privacy"].get("noise_multiplier") or 0.0
    return run["data"]["name"], run["data"]["n_members"], model, sigma


def _row(place: tuple, runs: Sequence[dict]) -> list[str]:
    name, n, model, sigma = place
    eps = sorted({number(records.eps(run), 4) for run in runs})
    bounds = [bound for run in runs if (bound := _bound(run)) is not None]
    attacks = [ranked[0][1] for run in runs if (ranked := records.attacks(run))]
    return [
        name, f"{n:,}", model.upper(), f"{sigma:g}", " to ".join(eps),
        _mean([_EPSILON.read(run, None) for run in runs]),
        number(max(bounds), 3) if bounds else "–", _mean(attacks, ends=SHARE),
        _mean([_ACCURACY.read(run) for run in runs], 100, SHARE),
        _mean([_COVERAGE.read(run) for run in runs], ends=SHARE),
    ]  # fmt: skip


def _mean(metrics: Sequence[dict], scale: float = 1.0, ends: tuple | None = None) -> str:
    """ends: between which the metric lies; of two runs Student's interval may go beyond."""
    mean = records.over_runs(metrics)
    if mean is None:
        return "–"
    if ends and mean["low"] is not None:
        within = {"low": max(mean["low"], ends[0]), "high": min(mean["high"], ends[1])}
        mean = mean | within  # not in place: one alone is the record's own
    return spoken(mean, scale)


def _bound(run: dict) -> float | None:
    """The best lower bound on eps of a run's audit, 0 or more."""
    audited = run["privacy"].get("audit") or {}
    bounds = [
        row["bound"] for score in audited.get("scores", {}).values() for row in score.values()
    ]
    return max(0.0, *bounds) if bounds else None
