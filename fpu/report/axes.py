"""Fidelity and utility as HTML tables: value, interval and n beside the zero line or floor."""

from collections.abc import Callable, Mapping
from html import escape
from typing import NamedTuple

from fpu.report import records
from fpu.report.figures import bar_svg, mark
from fpu.report.wording import interval, value


class Row(NamedTuple):
    """How a metric is shown.

    `better` is "lower" or "higher"; `scale` 100 shows percent; `ends` are those of the bar's axis,
    by default 0 and the data; `chance` is what guessing scores, given the number of classes.
    """

    label: str
    better: str = ""
    meaning: str = ""
    scale: float = 1.0
    ends: tuple[float, float] | None = None
    chance: Callable[[int], float] | None = None


FIDELITY = {
    "kid": Row(
        "Kernel distance (KID)",
        "lower",
        "Distance between the two sets in a small network's features. Unbiased: may be below 0.",
    ),
    "fd": Row(
        "Fréchet distance (FD)",
        "lower",
        "The same, by mean and covariance. Grows when images are few: compare with the real line.",
    ),
    "precision": Row(
        "Precision",
        "higher",
        "Share of the synthetic images that lie among real ones.",
        100,
        (0, 1),
    ),
    "recall": Row(
        "Recall", "higher", "Share of the real images that lie among synthetic ones.", 100, (0, 1)
    ),
    "density": Row(
        "Density", "higher", "How many real images crowd around a synthetic one; may exceed 1."
    ),
    "coverage": Row(
        "Coverage",
        "higher",
        "Share of the real images with a synthetic one close by. Low: kinds of images are missing.",
        100,
        (0, 1),
    ),
    "near_copies": Row(
        "Near copies",
        "lower",
        "Share closer to a member than 99 % of unseen real images. Well above 1 %: it memorises.",
        100,
    ),
}
UTILITY = {
    "accuracy": Row(
        "Accuracy", "higher", "Share of the real test images classified rightly.", 100, (0, 1)
    ),
    "balanced_accuracy": Row(
        "Balanced accuracy",
        "higher",
        "The same with every class counted alike. Dashed: guessing.",
        100,
        (0, 1),
        lambda n_classes: 1 / n_classes,
    ),
    "auc": Row(
        "AUC, mean over classes",
        "higher",
        "How surely an image of a class ranks above the others. Dashed: guessing.",
        1,
        (0, 1),
        lambda _: 0.5,
    ),
}


def fidelity(record: dict) -> str:
    """Synthetic against test images, beside held-out real images against test images."""
    return (
        "<h2>Fidelity: do they look like the real ones?</h2>"
        "<p>Compared with the real test images. The real line is what held-out real images score in"
        f" the same comparison: there is nothing to gain beyond it.{_network(record)}</p>"
        + _legend("real line: held-out real images")
        + _table(record, FIDELITY, "fidelity", "real", ("Synthetic", "Real line"))
    )


def utility(record: dict) -> str:
    """Trained on synthetic and on the real members, tested on real."""
    return (
        "<h2>Utility: can they stand in for the real ones?</h2>"
        "<p>A classifier is trained on the synthetic images and tested on real ones. The floor is"
        f" the same classifier trained on the {record['data']['n_members']:,} real members.</p>"
        + _legend("floor: trained on the real members")
        + _table(record, UTILITY, "utility", "members", ("Synthetic", "Floor"))
    )


def _network(record: dict) -> str:
    used = record["fidelity"].get("features") or {}
    if used.get("network") == "random":
        return " Features come from an untrained network: too few images are left to train one."
    if used.get("n_reference"):
        return f" Features come from a small network trained on {used['n_reference']:,} others."
    return ""


def cell(m: dict, row: Row, head: str) -> str:
    """A table cell: the metric's value, interval and n, or why there is none."""
    if not records.known(m):
        reason = escape(str(m.get("reason", "not finite")))
        return f'<td data-head="{head}">–<small class="reason">{reason}</small></td>'
    sign = " %" if row.scale == 100 else ""
    count = f"<small>n = {m['n']:,}</small>" if m.get("n") is not None else ""
    low_high = f"<small>{interval(m, row.scale)}</small>"
    return f'<td data-head="{head}"><b>{value(m, row.scale)}{sign}</b>{low_high}{count}</td>'


def _table(
    record: dict, rows: Mapping[str, Row], section: str, beside: str, heads: tuple[str, str]
) -> str:
    """One line per metric of the record, also of one that has no words here yet."""
    lines = []
    for key in record[section].get("synthetic") or {}:
        row = rows.get(key) or Row(key.replace("_", " "))
        ours, real = (records.metric(record, section, who, key) for who in ("synthetic", beside))
        arrow = {"higher": "↑ higher is better", "lower": "↓ lower is better"}.get(row.better, "")
        label = f"{escape(row.label)} <em>{arrow}</em><small>{escape(row.meaning)}</small>"
        cells = cell(ours, row, heads[0]) + cell(real, row, heads[1])
        bar = _bar(row, ours, real, record["data"]["n_classes"])
        lines.append(f"<tr><th>{label}</th>{cells}<td>{bar}</td></tr>")
    head = "".join(f"<th>{text}</th>" for text in ("Metric", *heads, "95 % intervals"))
    return (
        f'<table class="metrics"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _bar(row: Row, ours: dict, beside: dict, n_classes: int) -> str:
    shown = [m for m in (ours, beside) if records.known(m)]
    if not shown:
        return ""
    reach = [m[key] for m in shown for key in ("value", "low", "high") if m.get(key) is not None]
    ends = row.ends or (min(0.0, *reach), max(1e-3, *reach) * 1.05)
    return bar_svg(ours, beside, ends, row.chance and row.chance(n_classes), scale=row.scale)


def _legend(beside: str) -> str:
    items = "".join(
        f'<span><svg viewBox="0 0 32 10"><path class="{kind}" d="M2 5H30"/>{mark(kind, 16, 5)}'
        f"</svg>{name}</span>"
        for kind, name in (("ours", "synthetic"), ("beside", beside))
    )
    return f'<p class="legend note">{items}</p>'
