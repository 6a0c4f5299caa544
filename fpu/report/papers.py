"""The paper's own figures, from records of its preset: against nominal noise, with the eps that it really buys.

arXiv:2606.07640 judges by test accuracy, by an empirical epsilon (see fpu/privacy/paper_epsilon.py), by their
ratio, accuracy in percent / max(|epsilon|, 0.1), and by the ECDF of the distance to the closest training image.
"""

from collections.abc import Sequence

from fpu.report import curves, findings, paired, records
from fpu.report.tables import COLUMNS, over_runs
from fpu.report.wording import number

LEAST = 0.1  # below it the paper's ratio takes |epsilon| for this


def epsilon(record: dict) -> dict:
    """The paper's empirical epsilon as coded, its sign dropped; no interval: that of a mean says nothing of |mean|."""
    found = records.metric(record, "privacy", "empirical_epsilon", "overall", "as_coded")
    if not records.known(found):
        return found
    return {"value": abs(found["value"]), "low": None, "high": None, "n": found.get("n")}


def ratio(record: dict) -> dict:
    """Accuracy in percent / max(|empirical epsilon|, 0.1)."""
    accuracy, eps = COLUMNS["accuracy %"][0](record), epsilon(record)
    if not records.known(accuracy, eps):
        return eps if records.known(accuracy) else accuracy
    value = 100 * accuracy["value"] / max(eps["value"], LEAST)
    return {"value": value, "low": None, "high": None, "n": accuracy.get("n")}


_PANELS = (
    ("utility: accuracy %", COLUMNS["accuracy %"][0], 100),
    ("fidelity: coverage %", COLUMNS["coverage"][0], 100),
    ("|empirical epsilon|", epsilon, 1),
    ("accuracy % / |empirical epsilon|", ratio, 1),
)


def figure(runs: Sequence[dict]):
    """A matplotlib Figure of the runs of ONE data set that have the paper's preset; None without one."""
    runs = [r for r in runs if paired.nominal(r)]
    if not runs:
        return None
    from matplotlib.figure import Figure  # half a second to import

    models = paired.by(runs, lambda r: r["config"]["model"])
    drawn = Figure(figsize=(max(9.0, 3.2 * len(models)), 8.2), layout="constrained")
    upper, lower = drawn.subfigures(2, 1, height_ratios=(2, 1.1))
    sigmas = sorted({_sigma(r) for r in runs})
    names = [f"{s:g}\nε {_eps([r for r in runs if _sigma(r) == s])}" for s in sigmas]
    shown = [p for p in _PANELS if any(records.known(p[1](r)) for r in runs)] or _PANELS[:1]
    panels = upper.subplots(-(-len(shown) // 2), min(2, len(shown)), squeeze=False).ravel()
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    for ax, (title, read, scale) in zip(panels, shown, strict=False):
        for name, mine in models.items():
            _line(ax, mine, read, scale, sigmas, name)
        ax.set_title(title, fontsize=9)
        ax.set_xticks(range(len(sigmas)), names, fontsize=7)
        ax.tick_params(axis="y", labelsize=7)
        ax.grid(color="#e4e4e4", lw=0.5)
    labelled = max(panels, key=lambda ax: len(ax.get_lines()))
    if labelled.get_lines():
        labelled.legend(fontsize=8, frameon=False)
    for ax, (name, mine) in zip(
        lower.subplots(1, len(models), squeeze=False)[0], models.items(), strict=True
    ):
        _distances(ax, name, mine, sigmas)
    upper.supxlabel("noise multiplier σ, and the ε that it really buys", fontsize=8)
    lower.supxlabel("distance to the closest training image", fontsize=8)
    curves.title(drawn, findings.nominal(runs))
    return drawn


def _sigma(record: dict) -> float:
    return record["privacy"].get("noise_multiplier") or 0.0


def _eps(runs) -> str:
    """The least and the greatest eps of runs with one sigma, in words."""
    ends = sorted({number(records.eps(r), 2) for r in runs})
    return ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"


def _line(ax, runs, read, scale, sigmas, name) -> None:
    points = []
    for at, sigma in enumerate(sigmas):
        if found := over_runs([read(r) for r in runs if _sigma(r) == sigma]):
            ends = [found[k] if found[k] is not None else found["value"] for k in ("low", "high")]
            points.append((at, found["value"], *ends))
    if points:
        x, y, low, high = zip(*points, strict=True)
        style = curves.style(runs) | {"ls": "-"}
        ax.plot(x, [scale * v for v in y], label=name.upper(), **style)
        ax.vlines(x, [scale * v for v in low], [scale * v for v in high], color=style["color"])


def _distances(ax, name, runs, sigmas) -> None:
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
        ax.plot(unseen["distance"], unseen["heldout"], color="#d55e00", lw=1.4, ls="--")
    noise = f"σ = {sigmas[0]:g} (light) to {sigmas[-1]:g} (black)" if len(sigmas) > 1 else ""
    ax.set_title(f"{name.upper()}: {noise}; dashed: unseen real images", fontsize=7)
    ax.set_ylim(0, 1.02)
    ax.tick_params(labelsize=7)
