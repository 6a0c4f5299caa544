"""Privacy beyond membership attacks as HTML: audits of the claim, nearest records, the paper's empirical epsilon."""

from html import escape

from fpu.report.axes import cell
from fpu.report.rows import Row
from fpu.report.wording import number

_GAPS = {
    "ks": Row("Largest gap (KS)", "", "Between the two distributions of distances, either way."),
    "ks_nearer": Row("Synthetic nearer (one-sided KS)", "", "Largest gap in favour of nearness."),
    "area": Row("Area between", "", "1: every image is a copy. 0: as far as unseen real images."),
}
_EMPIRICAL = {
    "as_coded": Row("As the paper codes it"),
    "with_dimension": Row("With the factor d = 2"),
}


def tried(record: dict) -> str:
    """What the record holds of the three; empty where it holds nothing."""
    held = record["privacy"]
    return (
        _audit(held.get("audit"))
        + _table(
            "Distance to the closest training image",
            "Descriptive: it says nothing about privacy by itself.",
            _GAPS,
            held.get("distance_to_closest_record"),
        )
        + _table(
            "The paper's empirical epsilon",
            "No bound on ε: a ratio of densities in a plane, estimated at chosen images.",
            _EMPIRICAL,
            (held.get("empirical_epsilon") or {}).get("overall"),
        )
    )


def _audit(found: dict | None) -> str:
    if not found:
        return ""
    if "scores" not in found:
        return f"<h3>Audit</h3><p>{escape(found['reason'])}</p>"
    lines = [
        f"<tr><th>{escape(score)}<small>{escape(method.replace('_', ' '))}</small></th>"
        f"<td><b>{number(row['bound'])}</b>{'<small>refutes the claim</small>' if row['refuted'] else ''}</td>"
        f"<td>{number(row['ceiling'])}</td><td>{number(row['limit'])}</td></tr>"
        for score, rows in found["scores"].items()
        for method, row in rows.items()
    ]
    head = ("Score, method", "ε is at least (95 %)", "Best attack on the claim", "Perfect attack")
    heads = "".join(f"<th>{text}</th>" for text in head)
    kind = found["kind"].replace("_", " ")
    count = found.get("canaries") or found.get("runs")
    unit = "canaries" if "canaries" in found else "runs in each world"
    verdict = "The claim is refuted: release nothing." if found["refuted"] else "The claim stands."
    return (
        f"<h3>Audit: {escape(kind)}, {count:,} {unit}</h3><p>{verdict} A low bound proves nothing: the last "
        "columns say how high an audit of this size could have come.</p>"
        f'<table class="metrics"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    )


def _table(title: str, note: str, rows: dict[str, Row], held: dict | None) -> str:
    if not held:
        return ""
    lines = [
        f"<tr><th>{row.label}<small>{row.meaning}</small></th>{cell(held[key], row, title)}</tr>"
        for key, row in rows.items()
        if key in held
    ]
    return (
        f"<h3>{title}</h3><p>{note}</p>"
        f'<table class="metrics"><tbody>{"".join(lines)}</tbody></table>'
    )
