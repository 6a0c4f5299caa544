"""ROC curves of the strongest attacks, model beside model, with what each guarantee excludes shaded."""

from collections.abc import Sequence
from textwrap import shorten

import numpy as np

from fpu.privacy import bounds
from fpu.report import curves, findings, paired, records

_MOST = 12  # panels of a figure
_LEAST = 1e-3  # where both logarithmic axes begin


def figure(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set: a panel for each n and noise; None without a curve.

    A line is the strongest attack on one run; runs of other seeds have the colour of their model. At small n
    a curve has few steps: it is what was found, not what there is to find.
    """
    from matplotlib.figure import Figure  # half a second to import

    held = [(run, roc) for run in runs if (roc := _strongest(run)) is not None]
    panels = list(paired.by(held, lambda pair: paired.setting(pair[0])).items())
    panels = sorted(panels, key=lambda item: item[0])[:_MOST]
    if not panels:
        return None
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    drawn = Figure(figsize=(2.9 * across + 2.2, 2.7 * down + 0.5), layout="constrained")
    axes = drawn.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for (where, pairs), ax in zip(panels, axes, strict=False):
        _panel(ax, where, pairs)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    handles = {}
    for ax in axes:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    drawn.legend(handles.values(), handles, loc="outside right upper", fontsize=8, frameon=False)
    curves.title(drawn, findings.attacks(runs))
    drawn.supxlabel("false positive rate", fontsize=9)
    drawn.supylabel("true positive rate", fontsize=9)
    return drawn


def _strongest(run: dict) -> dict | None:
    """{'fpr', 'tpr'} of the attack with the highest AUC of those that have a curve."""
    tried = run["privacy"].get("attacks") or {}
    found = [roc for name, _ in records.attacks(run) if (roc := tried[name].get("roc"))]
    return found[0] if found else None


def _panel(ax, where, pairs) -> None:
    at = np.geomspace(_LEAST, 1, 61)
    if swap := bounds.swapped(pairs[0][0]["privacy"]):
        limit = [bounds.highest_tpr(float(rate), *swap) for rate in at]
        ax.fill_between(at, limit, 1, color="#d55e00", alpha=0.15, lw=0, label="excluded by (ε, δ)")
    ax.plot(at, at, color="#333333", lw=0.8, ls=":", label="guessing")
    for run, roc in pairs:
        style = curves.style([run]) | {"marker": "", "lw": 0.9}
        rates = [np.maximum(roc[side], _LEAST) for side in ("fpr", "tpr")]
        label = shorten(paired.name(run), 40, placeholder="…").replace("$", r"\$")
        ax.plot(*rates, label=label, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(_LEAST, 1)
    ax.set_ylim(_LEAST, 1)
    ax.set_title(where.words().partition(", ")[2], fontsize=8)
    ax.tick_params(labelsize=7)
    ax.grid(color="#e4e4e4", lw=0.5)
