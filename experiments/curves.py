"""Write the table of measured curves that the package holds, and its picture, from the committed records.

    python -m experiments.curves

`fpu plan` reads the table; a test compares it with the records. The picture says where a public prior stops paying.
"""

import math
import pathlib
from collections.abc import Sequence

import pandas as pd

from fpu.commands import door
from fpu.files import storage
from fpu.report import measured, plots, records

RESULTS = pathlib.Path(__file__).parent / "results"
PICTURE = RESULTS / "prior-n.png"
EPS = 1.0, 3.0, 10.0
SETS = {"digits": "accuracy", "mnist": "accuracy", "pneumoniamnist": "auc", "octmnist_part": "auc"}
LOOKS = {
    "draws of a prior": {"color": plots.BROWN, "marker": "o", "ms": 4},
    "gaussian, without a prior": {"color": plots.PURPLE, "marker": "D", "ms": 4},
    "private classifier": {"color": plots.GREY, "marker": "|", "ms": 6, "ls": "-."},
    "real members": {"color": plots.DARK, "ls": "--", "lw": 0.9},
}
TITLE = (
    "What a small net learns from 1,000 synthetic images, by how many members their release has seen; dotted: from "
    "here on images without a prior are as useful"
)


def define_flags() -> None:
    """There are none."""


def main(_: list[str]) -> None:
    """Write measured.csv and the picture from every study."""
    runs = records.read(sorted(RESULTS.glob("*.jsonl")))
    text = table(runs)
    storage.write(measured.PATH, text.encode())
    storage.write(PICTURE, plots.png(figure(runs)))
    print(f"{measured.PATH}: {len(text.splitlines()) - 1} settings; {PICTURE}")


def table(runs: list[dict]) -> str:
    """The CSV of these records; numbers of four digits."""
    table = pd.DataFrame(measured.of(runs), columns=measured.Row._fields)
    return table.to_csv(index=False, float_format="%.4g", lineterminator="\n")


def figure(runs: Sequence[dict]):
    """A matplotlib Figure of records: a row for each of EPS, a column for each of SETS, what is learned against n."""
    quick = [r for r in runs if r["config"]["evaluation"] == "quick"]
    shown = [r for r in quick if _model(r) in ("prior", "gaussian")]
    drawn = plots.sheet(11, 7)
    axes = drawn.subplots(len(EPS), len(SETS), sharex="col", sharey="col")
    for eps, line in zip(EPS, axes, strict=True):
        for name, ax in zip(SETS, line, strict=True):
            there = [r for r in shown if r["data"]["name"] == name]
            _panel(ax, [r for r in there if round(records.eps(r)) == eps], SETS[name])
            plots.log_axis(ax, sorted(set(map(plots.count, there))))
            plots.plain(ax)
        line[0].set_ylabel(f"ε = {eps:g}: percent", fontsize=9)
    for (name, score), first, last in zip(SETS.items(), axes[0], axes[-1], strict=True):
        first.set_title(f"{name}: {score}", fontsize=9)
        last.set_xlabel("members n", fontsize=9)
    plots.title(drawn, TITLE)
    plots.legend(drawn, axes.ravel())
    return drawn


def _panel(ax, runs: Sequence[dict], score: str) -> None:
    """The lines of one data set at one eps, and from which n on `gaussian` has caught up with the prior."""
    prior = [r for r in runs if _model(r) == "prior"]
    own = [r for r in runs if _model(r) == "gaussian"]
    beside = [r for r in prior if plots.count(r) not in set(map(plots.count, own))]

    def read(row):
        return lambda run: records.metric(run, "utility", row, score)

    def plain(run):
        return read("synthetic" if _model(run) == "gaussian" else "gaussian")(run)

    lines = (
        (prior, read("synthetic")),
        ([*own, *beside], plain),
        (prior, read("private_classifier")),
        (prior, read("members")),
    )
    for (label, look), (some, metric) in zip(LOOKS.items(), lines, strict=True):
        plots.line(ax, some, metric, 100, (plots.count, math.inf, 1), label, look)
    with_prior, without = (
        {at: value for at, value, *_ in plots.points(some, metric, plots.count)}
        for some, metric in lines[:2]
    )
    paying = [n for n in with_prior if with_prior[n] > without.get(n, -math.inf)]
    beyond = [n for n in with_prior if n > max(paying, default=0)]
    if beyond:
        ax.axvline(min(beyond), color=plots.DARK, ls=":", lw=0.9)
    ax.set_ylim(top=min(101, ax.get_ylim()[1]))


def _model(run):
    return run["config"]["model"]


if __name__ == "__main__":
    door.enter("experiments.curves")
