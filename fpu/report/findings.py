"""What a figure shows, in the sentence that is its title. Descriptive: the best of several models is a selection."""

import math
from collections.abc import Callable, Sequence

from fpu.report import paired, records
from fpu.report.tables import COLUMNS, over_runs
from fpu.report.wording import model_name, number

_UTILITY = (
    ("accuracy %", "members", "accuracy", "{:.1f} %"),
    ("AUC", "members", "auc", "AUC {:.3f}"),
)


def against_eps(runs: Sequence[dict]) -> str:
    """Of the runs of ONE data set with the most members: the best utility at the least and the greatest eps."""
    most = max(r["data"]["n_members"] for r in runs)
    mine = [r for r in runs if r["data"]["n_members"] == most]
    head = f"{runs[0]['data']['name']}, n = {most:,}"
    return _ends(head, mine, paired.rounded, lambda e: f"at ε = {number(e)}")


def against_n(runs: Sequence[dict]) -> str:
    """Of the runs of ONE data set at the least eps: the best utility from the fewest and from the most members."""
    least = min(map(paired.rounded, runs))
    mine = [r for r in runs if paired.rounded(r) == least]
    head = f"{runs[0]['data']['name']}, ε = {number(least)}"
    return _ends(head, mine, lambda r: r["data"]["n_members"], lambda n: f"from {n:,} images")


def attacks(runs: Sequence[dict]) -> str:
    """How well the strongest attack does where something is guaranteed, and where nothing is."""
    parts = []
    for words, inside in (("with a finite ε", math.isfinite), ("without privacy", math.isinf)):
        aucs = [
            found[0][1]["value"]
            for r in runs
            if inside(records.eps(r)) and (found := records.attacks(r))
        ]
        if aucs:
            parts.append(f"at most {max(aucs):.2f} {words}")
    said = ", ".join(parts)
    return f"{runs[0]['data']['name']}: AUC of the strongest attack {said or 'not known'}"


def nominal(runs: Sequence[dict]) -> str:
    """Of runs with the paper's protocol: what its strongest noise really buys, and what attacks then find."""
    n = ", ".join(f"{n:,}" for n in sorted({r["data"]["n_members"] for r in runs}))
    head = f"{runs[0]['data']['name']}, n = {n}, the paper's protocol"
    sigma = max(r["privacy"].get("noise_multiplier") or 0.0 for r in runs)
    strongest = [r for r in runs if (r["privacy"].get("noise_multiplier") or 0.0) == sigma]
    aucs = [found[0][1]["value"] for r in strongest if (found := records.attacks(r))]
    if not sigma or not aucs:
        return head
    eps = number(min(map(records.eps, strongest)), 2)
    return f"{head}: σ = {sigma:g} buys ε = {eps}, and attacks reach AUC {max(aucs):.2f}"


def _ends(head: str, runs, along: Callable, words: Callable) -> str:
    """The best generator at both ends of an axis, beside the real members at the last."""
    for column, row, name, form in _UTILITY:
        read, scale = COLUMNS[column]
        best = {}
        made = [r for r in runs if r["config"]["model"] not in paired.UNPROTECTED]
        for at, here in paired.by(made, along).items():
            models = paired.by(here, lambda r: model_name(r["config"]))
            means = {
                m: found
                for m, some in models.items()
                if (found := over_runs(list(map(read, some))))
            }
            if means:
                best[at] = max((found["value"], model) for model, found in means.items())
        if not best:
            continue
        last = [r for r in runs if along(r) == max(best)]
        real = over_runs([records.metric(r, "utility", row, name) for r in last])
        ends = sorted({min(best), max(best)})
        said = [f"{form.format(scale * best[at][0])} {words(at)} ({best[at][1]})" for at in ends]
        beside = f"; the real members give {form.format(scale * real['value'])}" if real else ""
        return f"{head}: at best {', '.join(said)}{beside}"
    return head
