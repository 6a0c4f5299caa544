"""The paper's own figures, from records of its preset: against nominal noise, with the eps that it really buys.

arXiv:2606.07640 judges by test accuracy, by an empirical epsilon (see fpu/privacy/paper_epsilon.py), by their
ratio, accuracy in percent / max(|epsilon|, 0.1), and by the ECDF of the distance to the closest training image.
"""

import math
from collections.abc import Sequence

from fpu.report import compare, plots, records
from fpu.report.metrics import FIDELITY, PAPER_EPSILON, UTILITY, find
from fpu.report.settings import by
from fpu.report.words import number

LEAST = 0.1  # below it the paper's ratio takes |epsilon| for this
_ACCURACY, _COVERAGE = find(UTILITY, "accuracy"), find(FIDELITY, "coverage")


def epsilon(run: dict) -> dict:
    """The paper's empirical epsilon as coded, without its sign. No interval: that of a mean is not that of |mean|."""
    m = find(PAPER_EPSILON, "as_coded").read(run, None)
    return records.point(abs(m["value"]), m.get("n")) if records.known(m) else m


def ratio(run: dict) -> dict:
    """Accuracy in percent / max(|empirical epsilon|, 0.1)."""
    accuracy, eps = _ACCURACY.read(run), epsilon(run)
    if not records.known(accuracy, eps):
        return eps if records.known(accuracy) else accuracy
    return records.point(100 * accuracy["value"] / max(eps["value"], LEAST), accuracy.get("n"))


_PANELS = (  # title, what is read, scale, ends of the axis
    ("utility: accuracy %", _ACCURACY.read, 100, _ACCURACY.plot_ends),
    ("fidelity: coverage %", _COVERAGE.read, 100, _COVERAGE.plot_ends),
    ("|empirical epsilon|", epsilon, 1, None),
    ("accuracy % / |empirical epsilon|", ratio, 1, None),
)


def figure(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set that have the paper's preset; None without one."""
    runs = [r for r in runs if compare.nominal(r)]
    if not runs:
        return None
    models = by(runs, lambda r: r["config"]["model"])
    drawn = plots.sheet(max(9.0, 3.2 * len(models)), 8.2)
    upper, lower = drawn.subfigures(2, 1, squeeze=False, height_ratios=(2, 1.1)).ravel()
    sigmas = sorted(set(map(_sigma, runs)))
    shown = [p for p in _PANELS if any(records.known(p[1](r)) for r in runs)] or _PANELS[:1]
    panels = upper.subplots(-(-len(shown) // 2), min(2, len(shown)), squeeze=False).ravel()
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    ticks = [f"{s:g}\nε {_eps([r for r in runs if _sigma(r) == s])}" for s in sigmas]
    for ax, (title, read, scale, ends) in zip(panels, shown, strict=False):
        place = (lambda r: sigmas.index(_sigma(r))), math.inf, 1
        for model, some in models.items():
            look = plots.style(some) | {"ls": "-"}
            plots.line(ax, some, read, scale, place, model.upper(), look)
        if ends:
            ax.set_ylim(*ends)  # intervals of two runs are wide: they may leave the picture
        ax.set_title(title, fontsize=9)
        ax.set_xticks(range(len(sigmas)), ticks, fontsize=7)
        plots.plain(ax)
    labelled = max(panels, key=lambda ax: len(ax.get_lines()))
    if labelled.get_lines():
        labelled.legend(fontsize=8, frameon=False)
    row = lower.subplots(1, len(models), squeeze=False)[0]
    for ax, (model, some) in zip(row, models.items(), strict=True):
        _distances(ax, model, some, sigmas)
    upper.supxlabel("noise multiplier σ, and the ε that it really buys", fontsize=8)
    noise = f"; σ = {sigmas[0]:g} (light) to {sigmas[-1]:g} (black)" if len(sigmas) > 1 else ""
    lower.supxlabel(
        f"distance to the closest training image{noise}; dashed: unseen real images", fontsize=8
    )
    plots.title(drawn, title_of(runs))
    return drawn


def title_of(runs: Sequence[dict]) -> str:
    """What the paper's strongest noise really buys on ONE data set, and what attacks then find."""
    counts = ", ".join(f"{n:,}" for n in sorted(set(map(plots.count, runs))))
    head = f"{runs[0]['data']['name']}, n = {counts}, the paper's protocol"
    sigma = max(map(_sigma, runs))
    strongest = [r for r in runs if _sigma(r) == sigma]
    aucs = [ranked[0][1]["value"] for r in strongest if (ranked := records.attacks(r))]
    if not sigma or not aucs:
        return head
    eps = number(min(map(records.eps, strongest)), 2)
    return f"{head}: σ = {sigma:g} buys ε = {eps}, and attacks reach AUC {max(aucs):.2f}"


def _sigma(run: dict) -> float:
    return run["privacy"].get("noise_multiplier") or 0.0


def _eps(runs) -> str:
    """The least and the greatest eps of runs with one sigma, in words."""
    ends = sorted({number(records.eps(r), 2) for r in runs})
    return ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"


def _distances(ax, model, runs, sigmas) -> None:
    """The ECDFs of one model, darker with more noise, beside that of unseen real images."""
    unseen = None
    for run in sorted(runs, key=_sigma):
        curve = (run["privacy"].get("distance_to_closest_record") or {}).get("curve")
        if not curve:
            continue
        shade = 0.75 - 0.75 * sigmas.index(_sigma(run)) / max(1, len(sigmas) - 1)
        ax.plot(curve["distance"], curve["synthetic"], color=str(shade), lw=1)
        unseen = curve
    if unseen:
        ax.plot(unseen["distance"], unseen["heldout"], color=plots.VERMILION, lw=1.4, ls="--")
    ax.set_title(model.upper(), fontsize=8)
    ax.set_ylim(0, 1.02)
    ax.tick_params(labelsize=7)
