"""Small pictures side by side, one for each setting: trade-off triangles, and ROC curves of the strongest attacks.

Each axis of a triangle runs from 0, nothing, in the middle to 1, what real images give, at the corner:

  utility    accuracy (macro AUC where there is no accuracy) above guessing, over that of the real members
  fidelity   coverage, over that of held-out real images
  privacy    1 - 2 (AUC of the strongest attack - 1/2): 1 where it guesses, 0 where it always knows
"""

import math
from collections.abc import Sequence

import numpy as np

from fpu.intervals import missing
from fpu.privacy import bounds
from fpu.report import compare, metrics, plots, records
from fpu.report.settings import by
from fpu.report.words import plural

_MOST = 12  # panels of a figure
_LEAST = 1e-3  # where both logarithmic axes of a ROC curve begin
_ATTACKS = 4  # ROC curves of one run, at most


def _grid(count: int, panel: tuple[float, float], extra: tuple[float, float], **shared):
    """(figure, axes) of `count` panels, at most four in a row; spare ones are off. Widths and heights in inches."""
    across = min(4, count)
    down = -(-count // across)
    figure = plots.sheet(panel[0] * across + extra[0], panel[1] * down + extra[1])
    axes = figure.subplots(down, across, squeeze=False, **shared).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes


def corners(run: dict) -> dict[str, dict]:
    """{axis: metric in [0, 1]} of one run; a metric without a value where the record lacks a part."""
    accuracy, auc = (_beside(run, metric, "members") for metric in metrics.AXES["utility"])
    coverage = _beside(run, metrics.AXES["fidelity"][0], "real")
    ranked, lacking = records.attacks(run), missing("not in this record")
    return {
        "utility": accuracy or auc or lacking,
        "fidelity": coverage or lacking,
        "privacy": _share(2 - 2 * ranked[0][1]["value"]) if ranked else missing("no attack"),
    }


def _beside(run: dict, metric: metrics.Metric, row: str) -> dict | None:
    """What synthetic images give above guessing, over what the real ones of `row` give; None where that is unknown."""
    ours, real = metric.read(run), metric.read(run, row)
    guess = metric.chance(run["data"]["n_classes"]) if metric.chance else 0.0
    if not records.known(ours, real) or real["value"] <= guess:
        return None
    return _share((ours["value"] - guess) / (real["value"] - guess))


def _share(value: float) -> dict:
    return records.point(min(1.0, max(0.0, value)))


def triangles(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set: a triangle for each setting with two models or more; or None."""
    settings = compare.settings(runs)
    panels = {}
    for where, models in settings.items():
        means = {name: _means(some) for name, some in models.items()}
        means = {name: values for name, values in means.items() if values is not None}
        if len(means) > 1:
            panels[where] = means
    if not panels:
        return None
    shown = list(panels)[:_MOST]
    figure, axes = _grid(len(shown), (3.1, 3.1), (2.2, 0.9))
    for where, ax in zip(shown, axes, strict=False):
        _triangle(ax, where, panels[where], settings[where])
    plots.legend(figure, axes)
    near = sum(any(min(v) > 0.9 for v in means.values()) for means in panels.values())
    result = f"in {near} a model is" if near else "no model is"
    name, count = runs[0]["data"]["name"], plural(len(panels), "setting")
    result += " within 10 % of real images on all axes"
    result += f" (the first {_MOST} are drawn)" if len(panels) > _MOST else ""
    plots.title(figure, f"{name}: in {count}, {result}")
    return figure


def _means(runs) -> list[float] | None:
    means = [records.over_runs(corners(run)[axis] for run in runs) for axis in metrics.AXES]
    return [mean["value"] for mean in means if mean] if all(means) else None


def _triangle(ax, where: compare.Setting, models: dict, runs: dict) -> None:
    ax.set_axis_off()
    angles = [math.pi / 2 + 2 * math.pi * i / 3 for i in range(3)]
    unit = [(math.cos(a), math.sin(a)) for a in angles]
    for radius in (0.25, 0.5, 0.75, 1.0):
        x, y = zip(*[(radius * u, radius * v) for u, v in (*unit, unit[0])], strict=True)
        ax.plot(x, y, color=plots.DARK if radius == 1 else "#d8d8d8", lw=0.8)
    for name, (u, v) in zip(metrics.AXES, unit, strict=True):
        ax.plot([0, u], [0, v], color="#d8d8d8", lw=0.8)
        ax.text(1.12 * u, 1.12 * v, name, ha="center", va="center", fontsize=7)
    for name, values in models.items():
        points = [(r * u, r * v) for r, (u, v) in zip(values, unit, strict=True)]
        x, y = zip(*points, points[0], strict=True)
        ax.plot(x, y, label=plots.label(name), **plots.style(runs[name]))
    ax.set_title(where.words().partition(", ")[2], fontsize=8)
    ax.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-0.75, 1.25))


def rocs(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set: a panel for each n and noise; None without a curve.

    A line is the strongest attack on one run; runs of other seeds have the colour of their model. At small n
    a curve has few steps: an attack with more images may find more.
    """
    lines = [(run, curves[0][1]) for run in runs if (curves := _curves(run))]
    panels = sorted(by(lines, lambda pair: compare.setting(pair[0])).items())[:_MOST]
    if not panels:
        return None
    figure, axes = _grid(len(panels), (2.9, 2.7), (2.2, 0.5), sharex=True, sharey=True)
    for (where, pairs), ax in zip(panels, axes, strict=False):
        styled = [(compare.name(run), roc, plots.style([run])) for run, roc in pairs]
        _roc(ax, pairs[0][0]["privacy"], styled)
        ax.set_title(where.words().partition(", ")[2], fontsize=8)
    plots.legend(figure, axes)
    plots.title(figure, strongest(runs))
    _rates(figure)
    return figure


def roc(run: dict):
    """A matplotlib Figure of ONE run: curves of its strongest attacks, beside what (eps, delta) excludes; or None."""
    if not (curves := _curves(run)[:_ATTACKS]):
        return None
    figure, axes = _grid(1, (3.6, 3.4), (2.6, 0.2))
    looks = zip(curves, plots.STYLES.values(), ("-", "--", ":", "-."), strict=False)
    styled = [(*curve, {"color": colour, "ls": dashes}) for curve, (colour, _), dashes in looks]
    _roc(axes[0], run["privacy"], styled, width=1.6)
    plots.legend(figure, axes)
    _rates(figure)
    return figure


def _curves(run: dict) -> list[tuple[str, dict]]:
    """(attack, {'fpr', 'tpr'}) of the attacks that have an AUC and a curve, the strongest first."""
    attacks = run["privacy"].get("attacks") or {}
    return [
        (name, attacks[name]["roc"]) for name, _ in records.attacks(run) if attacks[name].get("roc")
    ]


def _rates(figure) -> None:
    figure.supxlabel("false positive rate", fontsize=9)
    figure.supylabel("true positive rate", fontsize=9)


def _roc(ax, privacy: dict, lines: Sequence[tuple[str, dict, dict]], width: float = 0.9) -> None:
    """Curves, (label, {'fpr', 'tpr'}, style) each, on logarithmic axes; what the guarantee excludes is shaded."""
    at = np.geomspace(_LEAST, 1, 61)
    if swap := bounds.swapped(privacy):
        limit = [bounds.highest_tpr(float(rate), *swap) for rate in at]
        shade = {"color": plots.VERMILION, "alpha": 0.15, "lw": 0}
        ax.fill_between(at, limit, 1, label="excluded by (ε, δ)", **shade)
    ax.plot(at, at, color=plots.DARK, lw=0.8, ls=":", label="guessing")
    for name, curve, style in lines:
        rates = [np.maximum(curve[side], _LEAST) for side in ("fpr", "tpr")]
        ax.plot(*rates, label=plots.label(name), **style | {"marker": "", "lw": width})
    ax.set(xscale="log", yscale="log", xlim=(_LEAST, 1), ylim=(_LEAST, 1))
    plots.plain(ax)


def strongest(runs: Sequence[dict]) -> str:
    """How well the strongest attack does where something is guaranteed, and where nothing is."""
    parts = []
    for words, inside in (("with a finite ε", math.isfinite), ("without privacy", math.isinf)):
        ranked = [records.attacks(run) for run in runs if inside(records.eps(run))]
        if aucs := [attacks[0][1]["value"] for attacks in ranked if attacks]:
            parts.append(f"at most {max(aucs):.2f} {words}")
    name = runs[0]["data"]["name"]
    return f"{name}: AUC of the strongest attack {', '.join(parts) or 'not known'}"
