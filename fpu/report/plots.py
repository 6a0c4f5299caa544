"""The three axes against eps, and against the number of members: a figure for each data set, from records alone.

A point is the mean over runs (subsets and seeds) with its 95 % t interval, or one run with its own; lines beside
it say what real images would give. Every model has its own colour and marker.
"""

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from textwrap import fill, shorten

from fpu.baselines import BASELINES
from fpu.models import MODELS
from fpu.report import records
from fpu.report.compare import UNPROTECTED, name
from fpu.report.frame import rank, rounded
from fpu.report.metrics import AXES, PLOTTED, REFERENCES, Metric
from fpu.report.settings import by
from fpu.report.words import number, prior_name

BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, YELLOW, BLACK = (  # of Okabe and Ito
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#f0e442", "#000000",
)  # fmt: skip
GREY, DARK, LINE, BROWN = "#8a8f98", "#333333", "#e4e4e4", "#8c510a"
_FAMILIES = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (YELLOW, "p"))
_RIVALS = (
    (PURPLE, "D"), (SKY, "v"), (BROWN, "h"), (YELLOW, "<"), (SKY, ">"), (BLACK, "X"), (ORANGE, "P"),
)  # fmt: skip
STYLES = {  # model: colour and marker; any other model is a grey star
    **dict(zip(MODELS, _FAMILIES, strict=False)),
    **dict(zip(BASELINES, _RIVALS, strict=False)),
}


def sheet(width: float, height: float):
    """An empty matplotlib Figure of so many inches, whose parts find their own places."""
    from matplotlib.figure import Figure  # half a second to import

    return Figure(figsize=(width, height), layout="constrained")


def png(figure) -> bytes:
    """A matplotlib Figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def title(figure, text: str) -> None:
    """What a figure shows, above it, in lines that fit its width. A dollar is a dollar."""
    width = int(10 * figure.get_figwidth())
    figure.suptitle(fill(text, width).replace("$", r"\$"), fontsize=10)


def label(text: str) -> str:
    """For a legend: not too long, and a dollar is a dollar."""
    return shorten(text, 40, placeholder="…").replace("$", r"\$")


def plain(ax) -> None:
    """Small numbers at the ticks, and thin lines behind what is drawn."""
    ax.tick_params(labelsize=7)
    ax.grid(color=LINE, lw=0.5)


def log_axis(ax, ticks: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """A logarithmic x axis with these ticks alone; without `labels` each is a whole number."""
    ax.set_xscale("log")
    ax.set_xticks(ticks, labels or [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()


def legend(figure, axes, fontsize: int = 8) -> None:
    """One legend of all axes, right of them."""
    handles = {}
    for ax in axes:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles, loc="outside right center", fontsize=fontsize, frameon=False
    )


def style(runs: Sequence[dict]) -> dict:
    """A colour and a marker for each model; dashed where DP-SGD had no warm-up, hollow where it had one; dotted lines
    where a public prior helped.
    """
    config = runs[0]["config"]
    colour, marker = STYLES.get(config["model"], (GREY, "*"))
    dashed = config.get("steps") and not config.get("warmup_share")
    face = "white" if 0 < (config.get("warmup_share") or 0) < 1 else colour
    ls = "--" if dashed else ":" if prior_name(config) else "-"
    return {"color": colour, "marker": marker, "mfc": face, "ms": 3.5, "lw": 1.2, "ls": ls}


def count(run: dict) -> int:
    """The number of members."""
    return run["data"]["n_members"]


def figure(runs: Sequence[dict], against: str = "eps"):
    """A matplotlib Figure of the runs of ONE data set: a row for each metric.

    Args:
      runs: records of schema 1. Models without a mechanism, whose eps is infinite, end the axis of eps.
      against: "eps", with a column for each n; or "n", with a column for each eps.
    """
    along, across = (rounded, count) if against == "eps" else (count, rounded)
    columns = dict(sorted(by(runs, across).items()))
    if against == "n":  # a column with one count shows no dependence on it
        several = {c: some for c, some in columns.items() if len(set(map(along, some))) > 1}
        columns = several or columns
        runs = [r for some in columns.values() for r in some]
    names = [model for _, model in sorted({(rank(r), name(r)) for r in runs})]
    rows = [metric for metric in PLOTTED if any(records.known(metric.read(r)) for r in runs)]
    rows = rows or list(PLOTTED)[:1]  # where every run diverged: empty, but a picture
    drawn = sheet(1.6 + 2.7 * len(columns), 1 + 2 * len(rows))
    axes = drawn.subplots(len(rows), len(columns), squeeze=False, sharey="row", sharex=True)
    finite = sorted({along(r) for r in runs} - {math.inf})
    end = 10 * max(finite, default=1.0)  # where infinity is drawn
    ticks = [*finite, *([end] if any(math.isinf(along(r)) for r in runs) else [])]
    step = min([1.06, *(math.exp(0.3 * math.log(b / a) / len(names)) for a, b in pairwise(ticks))])
    for metric, line in zip(rows, axes, strict=True):
        for some, ax in zip(columns.values(), line, strict=True):
            _panel(ax, metric, some, names, (along, end), step)
            log_axis(ax, ticks, [f"{t:,g}" if t in finite else "∞" for t in ticks])
            plain(ax)
        line[0].set_ylabel(f"{metric.axis}: {metric.plot}", fontsize=8)
    sign = "n" if against == "eps" else "ε"
    for column, ax in zip(columns, axes[0], strict=True):
        ax.set_title(f"{sign} = {'∞' if math.isinf(column) else f'{column:,g}'}", fontsize=9)
    title(drawn, best_against_eps(runs) if against == "eps" else best_against_n(runs))
    drawn.supxlabel("ε" if against == "eps" else "members n", fontsize=9)
    legend(drawn, axes.ravel(), 7)
    return drawn


def _panel(ax, metric: Metric, runs, names, place, step: float) -> None:
    """One metric in one column: a line per model, a step from the next, and what real images give."""
    models = by(runs, name)
    for i, model in enumerate(names):
        if some := models.get(model):
            shift = step ** (i - len(names) / 2)  # so that intervals do not hide each other
            line(ax, some, metric.read, metric.scale, (*place, shift), model, style(some))
    if metric in AXES["utility"]:
        dotted = {"color": "#666666", "marker": "|", "ms": 5, "lw": 0.8, "ls": "-."}
        rival = partial(metric.read, row="private_classifier")
        line(ax, runs, rival, metric.scale, (*place, 1), "private classifier", dotted)
    dashes = {"members": "--", "all_real": ":", "real": (0, (5, 4))}
    for row, words in REFERENCES[metric.axis].items():
        real = {"color": DARK, "lw": 0.9, "ls": dashes[row]}
        if place[0] is count:  # what real images give depends on how many there are
            read = partial(metric.read, row=row)
            line(ax, runs, read, metric.scale, (*place, 1), words, real)
        elif mean := records.over_runs([metric.read(r, row) for r in runs]):
            ax.axhline(metric.scale * mean["value"], label=words, **real)
    if metric.axis == "privacy" and metric.chance:
        ax.axhline(metric.chance(2), color=DARK, lw=0.9, ls="-", label="guessing")
    if metric.key == "kid":
        ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(*metric.plot_ends)  # intervals of two runs are wide: they may leave the picture


def points(runs: Sequence[dict], read: Callable, along: Callable) -> list[tuple]:
    """(place, mean, low, high) of a metric at each place along an axis, over the runs there."""
    means = []
    for at, there in sorted(by(runs, along).items()):
        if mean := records.over_runs(map(read, there)):
            means.append((at, mean["value"], *records.ends(mean)))
    return means


def line(ax, runs, read, scale, place, text: str, look: dict) -> None:
    """The mean of a metric at each place along the axis, with its interval."""
    along, end, shift = place
    if not (drawn := points(runs, read, along)):
        return
    at, y, low, high = zip(*drawn, strict=True)
    x = [min(value, end) * shift for value in at]
    ax.plot(x, [scale * v for v in y], label=label(text), **look)
    ax.vlines(x, [scale * v for v in low], [scale * v for v in high], color=look["color"], lw=0.8)


def best_against_eps(runs: Sequence[dict]) -> str:
    """Of the runs of ONE data set with the most members: the best utility at the least and the greatest eps."""
    most = max(map(count, runs))
    shown = [r for r in runs if count(r) == most]
    head = f"{runs[0]['data']['name']}, n = {most:,}"
    return _best(head, shown, rounded, lambda eps: f"at ε = {number(eps)}")


def best_against_n(runs: Sequence[dict]) -> str:
    """Of the runs of ONE data set at the least eps: the best utility from the fewest and from the most members."""
    least = min(map(rounded, runs))
    shown = [r for r in runs if rounded(r) == least]
    head = f"{runs[0]['data']['name']}, ε = {number(least)}"
    return _best(head, shown, count, lambda n: f"from {n:,} images")


def _best(head: str, runs, along: Callable, words: Callable) -> str:
    """The best generator at both ends of an axis, beside the real members at the last: a selection, so descriptive."""
    for metric in AXES["utility"]:
        best = {}
        generators = [r for r in runs if r["config"]["model"] not in UNPROTECTED]
        for at, there in by(generators, along).items():
            models = by(there, name).items()
            means = ((records.over_runs(map(metric.read, some)), model) for model, some in models)
            if values := [(mean["value"], model) for mean, model in means if mean]:
                best[at] = max(values)
        if not best:
            continue
        form = "{:.1f} %" if metric.scale == 100 else "AUC {:.3f}"
        ends = [
            f"{form.format(metric.scale * best[at][0])} {words(at)} ({best[at][1]})"
            for at in sorted({min(best), max(best)})
        ]
        real = records.over_runs([metric.read(r, "members") for r in runs if along(r) == max(best)])
        beside = (
            f"; the real members give {form.format(metric.scale * real['value'])}" if real else ""
        )
        return f"{head}: at best {', '.join(ends)}{beside}"
    return head
