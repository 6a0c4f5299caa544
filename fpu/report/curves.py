"""The three axes against eps, and against the number of members: figures for each data set, from records alone.

A point is the mean over runs (subsets and seeds) with its 95 % t interval, or one run with its own; lines beside
it say what real images would give. Colours are those of Okabe and Ito, and every model has its own marker.
"""

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from textwrap import fill, shorten

from fpu.report import findings, paired, records
from fpu.report.tables import COLUMNS, ORDER, over_runs
from fpu.report.wording import model_name

_ROWS = ("accuracy %", "AUC", "KID", "attack AUC")
_TITLES = {
    "accuracy %": "utility: accuracy %",
    "AUC": "utility: macro AUC",
    "KID": "fidelity: KID",
    "attack AUC": "privacy: strongest attack, AUC",
}
_REAL = {  # row: what real images give, (label, path in a record, style of its line)
    "accuracy %": (
        ("the real members", ("utility", "members", "accuracy"), "--"),
        ("all real images", ("utility", "all_real", "accuracy"), ":"),
    ),
    "AUC": (
        ("the real members", ("utility", "members", "auc"), "--"),
        ("all real images", ("utility", "all_real", "auc"), ":"),
    ),
    "KID": (("the real members", ("fidelity", "real", "kid"), "--"),),
    "attack AUC": (),
}
_ENDS = {"accuracy %": (0, 102), "AUC": (0.4, 1.02), "KID": (-0.1, None), "attack AUC": (0.4, 1.02)}
_CLASSIFIER = {"accuracy %": "accuracy", "AUC": "auc"}  # of the DP-SGD classifier with the same eps
_STYLES = {  # model: colour and marker; any other model is grey
    "vae": ("#0072b2", "o"),
    "gan": ("#d55e00", "s"),
    "ddpm": ("#009e73", "^"),
    "gaussian": ("#cc79a7", "D"),
    "merf": ("#56b4e9", "v"),
    "fresh": ("#e69f00", "P"),
    "copycat": ("#000000", "X"),
}


def png(drawn) -> bytes:
    """A matplotlib Figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def title(drawn, text: str) -> None:
    """What a figure shows, above it, in lines that fit its width. A dollar is a dollar."""
    width = int(10 * drawn.get_figwidth())
    drawn.suptitle(fill(text, width).replace("$", r"\$"), fontsize=10)


def figure(runs: Sequence[dict], against: str = "eps"):
    """A matplotlib Figure of the runs of ONE data set: a row for each metric.

    Args:
      runs: records of schema 1. Models without a mechanism, whose eps is infinite, end the axis of eps.
      against: "eps", with a column for each n; or "n", with a column for each eps.
    """
    from matplotlib.figure import Figure  # half a second to import

    along, across = paired.rounded, _count
    if against == "n":
        along, across = across, along
    columns = sorted({across(r) for r in runs})
    if against == "n":  # a column with one count shows no dependence on it
        counts = {c: len({along(r) for r in runs if across(r) == c}) for c in columns}
        columns = [c for c in columns if counts[c] > 1] or columns
        runs = [r for r in runs if across(r) in columns]
    names = sorted({_name(r) for r in runs}, key=lambda name: (_rank(runs, name), name))
    rows = [row for row in _ROWS if any(records.known(COLUMNS[row][0](r)) for r in runs)]
    rows = rows or list(_ROWS)[:1]  # where every run diverged: empty, but a picture
    drawn = Figure(figsize=(1.6 + 2.7 * len(columns), 1 + 2 * len(rows)), layout="constrained")
    axes = drawn.subplots(len(rows), len(columns), squeeze=False, sharey="row", sharex=True)
    finite = sorted({along(r) for r in runs} - {math.inf})
    end = 10 * max(finite, default=1.0)  # where infinity is drawn
    ticks = [*finite, *([end] if any(math.isinf(along(r)) for r in runs) else [])]
    apart = min([1.06, *(math.exp(0.3 * math.log(b / a) / len(names)) for a, b in pairwise(ticks))])
    for row, line in zip(rows, axes, strict=True):
        for column, ax in zip(columns, line, strict=True):
            mine = [r for r in runs if across(r) == column]
            _panel(ax, row, mine, names, (along, end), apart)
            ax.set_xscale("log")
            ax.set_xticks(ticks, [f"{t:,g}" if t in finite else "∞" for t in ticks])
            ax.minorticks_off()
            ax.tick_params(labelsize=7)
            ax.grid(color="#e4e4e4", lw=0.5)
        line[0].set_ylabel(_TITLES[row], fontsize=8)
    sign = "n" if against == "eps" else "ε"
    for column, ax in zip(columns, axes[0], strict=True):
        ax.set_title(f"{sign} = {'∞' if math.isinf(column) else f'{column:,g}'}", fontsize=9)
    said = findings.against_eps(runs) if against == "eps" else findings.against_n(runs)
    title(drawn, said)
    drawn.supxlabel("ε" if against == "eps" else "members n", fontsize=9)
    handles = {}
    for ax in axes.ravel():
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    drawn.legend(handles.values(), handles, loc="outside right upper", fontsize=7, frameon=False)
    return drawn


def _panel(ax, row, runs, names, place, step) -> None:
    """One metric in one column: a line per model, a step from the next, and what real images give."""
    read, scale = COLUMNS[row]
    for i, name in enumerate(names):
        mine = [r for r in runs if _name(r) == name]
        if not mine:
            continue
        apart = step ** (i - len(names) / 2)  # so that intervals do not hide each other
        _line(ax, mine, read, scale, (*place, apart), name, style(mine))
    if row in _CLASSIFIER:
        path = "utility", "private_classifier", _CLASSIFIER[row]
        dotted = {"color": "#666666", "marker": "|", "ms": 5, "lw": 0.8, "ls": "-."}
        name = "DP-SGD classifier"
        _line(ax, runs, lambda r: records.metric(r, *path), scale, (*place, 1), name, dotted)
    for name, path, dashes in _REAL[row]:
        real = {"color": "#333333", "lw": 0.9, "ls": dashes}
        if place[0] is _count:  # what real images give depends on how many there are
            _line(ax, runs, lambda r, p=path: records.metric(r, *p), scale, (*place, 1), name, real)
        elif found := over_runs([records.metric(r, *path) for r in runs]):
            ax.axhline(scale * found["value"], label=name, **real)
    if row == "attack AUC":
        ax.axhline(0.5, color="#333333", lw=0.9, ls="-", label="guessing")
    if row == "KID":
        ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(*_ENDS[row])  # intervals of two runs are wide: they may leave the picture


def _line(ax, runs, read, scale, place, name, style) -> None:
    """The mean of a metric at each place along the axis, with its interval."""
    points, (along, end, apart) = [], place
    for at in sorted({along(r) for r in runs}):
        if found := over_runs([read(r) for r in runs if along(r) == at]):
            ends = [
                found[key] if found.get(key) is not None else found["value"]
                for key in ("low", "high")
            ]
            points.append((min(at, end) * apart, found["value"], *ends))
    if not points:
        return
    x, y, low, high = zip(*points, strict=True)
    label = shorten(name, 40, placeholder="…").replace("$", r"\$")
    ax.plot(x, [scale * v for v in y], label=label, **style)
    ax.vlines(x, [scale * v for v in low], [scale * v for v in high], color=style["color"], lw=0.8)


def style(runs) -> dict:
    """A colour and a marker for each model; dashed where DP-SGD had no warm-up, hollow where it had one."""
    config = runs[0]["config"]
    colour, marker = _STYLES.get(config["model"], ("#888888", "*"))
    dashed = config.get("steps") and not config.get("warmup_share")
    ls = "--" if dashed else "-"
    fill = "white" if 0 < (config.get("warmup_share") or 0) < 1 else colour
    return {"color": colour, "marker": marker, "mfc": fill, "ms": 3.5, "lw": 1.2, "ls": ls}


def _name(record: dict) -> str:
    return model_name(record["config"])


def _rank(runs, name) -> int:
    (model, *_) = (r["config"]["model"] for r in runs if _name(r) == name)
    return ORDER.index(model if model in ORDER else "")


def _count(record: dict) -> int:
    return record["data"]["n_members"]
