"""The trade-off triangle: fidelity, privacy and utility of every model at one setting, as a figure for each data set.

Each axis runs from 0, nothing, in the middle to 1, what real images give, at the corner:

  utility    accuracy (macro AUC where there is no accuracy) above guessing, over that of the real members
  fidelity   coverage, over that of held-out real images
  privacy    1 - 2 (AUC of the strongest attack - 1/2): 1 where it guesses, 0 where it always knows
"""

import math
from collections.abc import Sequence
from textwrap import shorten

from fpu.report import curves, paired, records
from fpu.report.tables import over_runs
from fpu.report.wording import plural

CORNERS = ("utility", "fidelity", "privacy")
_MOST = 12  # panels of a figure


def corners(record: dict) -> dict[str, dict]:
    """{axis: metric in [0, 1]} of one run; a metric without a value where the record lacks a part."""
    guess = {"accuracy": 1 / record["data"]["n_classes"], "auc": 0.5}
    utility = {"value": None, "reason": "not in this record"}
    for name, chance in guess.items():
        ours, real = (
            records.metric(record, "utility", row, name) for row in ("synthetic", "members")
        )
        if records.known(ours, real) and real["value"] > chance:
            utility = _share((ours["value"] - chance) / (real["value"] - chance))
            break
    ours, real = (
        records.metric(record, "fidelity", row, "coverage") for row in ("synthetic", "real")
    )
    fidelity = {"value": None, "reason": "not in this record"}
    if records.known(ours, real) and real["value"] > 0:
        fidelity = _share(ours["value"] / real["value"])
    privacy = {"value": None, "reason": "no attack"}
    if ranked := records.attacks(record):
        privacy = _share(2 - 2 * ranked[0][1]["value"])
    return dict(zip(CORNERS, (utility, fidelity, privacy), strict=True))


def _share(value: float) -> dict:
    return {"value": min(1.0, max(0.0, value)), "low": None, "high": None, "n": 1}


def figure(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set: a triangle for each setting with two models or more; or None."""
    from matplotlib.figure import Figure  # half a second to import

    panels = {}
    for where, models in paired.settings(runs).items():
        held = {name: _means(mine) for name, mine in models.items()}
        held = {name: values for name, values in held.items() if values is not None}
        if len(held) > 1:
            panels[where] = held
    if not panels:
        return None
    shown = list(panels)[:_MOST]
    across = min(4, len(shown))
    down = -(-len(shown) // across)
    drawn = Figure(figsize=(3.1 * across + 2.2, 3.1 * down + 0.9), layout="constrained")
    axes = drawn.subplots(down, across, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for where, ax in zip(shown, axes, strict=False):
        _panel(ax, where, panels[where], paired.settings(runs)[where])
    handles = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    drawn.legend(handles.values(), handles, loc="outside right upper", fontsize=8, frameon=False)
    whole = sum(any(min(v) > 0.9 for v in held.values()) for held in panels.values())
    said = "no model is" if not whole else f"in {whole} a model is"
    name, settings = runs[0]["data"]["name"], plural(len(panels), "setting")
    curves.title(drawn, f"{name}: in {settings}, {said} within 10 % of real images on all axes")
    return drawn


def _means(runs) -> tuple[float, float, float] | None:
    found = [over_runs([corners(r)[axis] for r in runs]) for axis in CORNERS]
    return None if None in found else tuple(m["value"] for m in found)


def _panel(ax, where, models, runs) -> None:
    angles = [math.pi / 2 + 2 * math.pi * i / 3 for i in range(3)]
    unit = [(math.cos(a), math.sin(a)) for a in angles]
    for radius in (0.25, 0.5, 0.75, 1.0):
        x, y = zip(*[(radius * u, radius * v) for u, v in (*unit, unit[0])], strict=True)
        ax.plot(x, y, color="#333333" if radius == 1 else "#d8d8d8", lw=0.8)
    for name, (u, v) in zip(CORNERS, unit, strict=True):
        ax.plot([0, u], [0, v], color="#d8d8d8", lw=0.8)
        ax.text(1.12 * u, 1.12 * v, name, ha="center", va="center", fontsize=7)
    for name, values in models.items():
        points = [(r * u, r * v) for r, (u, v) in zip(values, unit, strict=True)]
        x, y = zip(*points, points[0], strict=True)
        label = shorten(name, 40, placeholder="…").replace("$", r"\$")
        ax.plot(x, y, label=label, **curves.style(runs[name]))
    ax.set_title(where.words().partition(", ")[2], fontsize=8)
    ax.set_aspect("equal")
    ax.set_xlim(-1.2, 1.2)
    ax.set_ylim(-0.75, 1.25)
