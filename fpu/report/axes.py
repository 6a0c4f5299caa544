"""Fidelity and utility as HTML tables: value, interval and n beside the zero line or floor."""

from collections.abc import Mapping
from html import escape

from fpu.report import records
from fpu.report.figures import bar_svg, mark
from fpu.report.rows import FIDELITY, PROTOCOLS, UTILITY, Row
from fpu.report.wording import interval, value


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
        + _protocols(record)
        + _recall(record)
    )


def _protocols(record: dict) -> str:
    """One line for each way to train and to test."""
    shown, lines = ("accuracy", "auc"), []
    for key, name in PROTOCOLS.items():
        if key not in record["utility"]:
            continue
        held = {m: records.metric(record, "utility", key, m) for m in shown}
        cells = "".join(cell(held[m], UTILITY[m], UTILITY[m].label) for m in shown)
        bar = _bar(UTILITY["accuracy"], held["accuracy"], {"value": None}, 1)
        lines.append(f"<tr><th>{name}</th>{cells}<td>{bar}</td></tr>")
    head = "".join(f"<th>{UTILITY[m].label}</th>" for m in shown)
    return (
        "<h3>Other ways to train and to test</h3>"
        "<p>The last line asks whether the synthetic labels are right: compare it with the one above.</p>"
        f'<table class="metrics"><thead><tr><th>Classifier</th>{head}<th>Accuracy, 95 % interval</th></tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _recall(record: dict) -> str:
    """The share found of each class; empty where a record does not hold it."""
    sides = [
        (record["utility"].get(row) or {}).get("recall") or {} for row in ("synthetic", "members")
    ]
    if not sides[0]:
        return ""
    row, names, heads = (
        Row("", scale=100),
        record["data"].get("class_names") or [],
        ("Synthetic", "Floor"),
    )
    lines = []
    for key in sides[0]:
        name = names[int(key)] if key.isdigit() and int(key) < len(names) else key
        found = [side.get(key) or {"value": None, "reason": "not in this record"} for side in sides]
        cells = "".join(cell(m, row, head) for m, head in zip(found, heads, strict=True))
        lines.append(
            f"<tr><th>{escape(name)}</th>{cells}<td>{_bar(Row('', scale=100, ends=(0, 1)), *found, 1)}</td></tr>"
        )
    head = "".join(f"<th>{text}</th>" for text in ("Class", *heads, "95 % intervals"))
    return (
        "<h3>Found of each class</h3>"
        f'<table class="metrics"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
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
    for key, held in (record[section].get("synthetic") or {}).items():
        if "value" not in held:  # by class: a table of its own
            continue
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
