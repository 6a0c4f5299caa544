"""Privacy as HTML: the claim in full, then the attacks beside chance and the claim's limit."""

from collections.abc import Mapping
from html import escape

from fpu.privacy import bounds
from fpu.report import records
from fpu.report.axes import Row, cell
from fpu.report.figures import bar_svg, roc_svg
from fpu.report.wording import number

_FACTS = {
    "eps": "ε",
    "delta": "δ",
    "unit": "protects each",
    "relation": "neighbours differ by",
    "noise_multiplier": "noise multiplier",
    "clip_norm": "clip norm",
    "sampling_rate": "sampling rate",
    "steps": "private steps",
    "capacity": "batch capacity",
    "accountant": "accountant",
    "noise_seed_disclosed": "noise seed disclosed",
}
_ATTACK = {
    "auc": Row("AUC"),
    "tpr_at_1_fpr": Row("TPR at 1 % FPR", scale=100),
    "tpr_at_01_fpr": Row("TPR at 0.1 % FPR", scale=100),
    "advantage": Row("Advantage", scale=100),
}
_CHANCE = {"auc": 0.5, "tpr_at_1_fpr": 0.01, "tpr_at_01_fpr": 0.001, "advantage": 0.0}
_RARE = "tpr_at_01_fpr"  # takes 1,000 non-members: shown only where some attack has it
_DRAWN = 4  # ROC curves


def privacy(record: dict) -> str:
    """Facts, the statement word for word, the attacks, and the ROC curves of the strongest."""
    held = record["privacy"]
    facts = "".join(
        f"<div><dt>{label}</dt><dd>{escape(_fact(held[key]))}</dd></div>"
        for key, label in _FACTS.items()
        if held.get(key) is not None
    )
    return (
        "<h2>Privacy: what can be learned about one real image?</h2>"
        f"<p>First what is proved, then what was tried.</p><dl>{facts}</dl>"
        f"<blockquote>{escape(str(held.get('statement', '')))}</blockquote>"
        "<h3>Membership attacks</h3><p>Each tries to tell the members from held-out real images."
        " Lower is better; the dashed line is guessing.</p>" + _attacks(record) + _curves(record)
    )


def _fact(held: object) -> str:
    if isinstance(held, bool):
        return "yes" if held else "no"
    if isinstance(held, int | float) or held == "inf":
        return number(held, 4)
    return str(held).replace("_", " ")


def _attacks(record: dict) -> str:
    tried = record["privacy"].get("attacks") or {}
    if not tried:
        return "<p>None was tried.</p>"
    ranked = [name for name, _ in records.attacks(record)]
    limits = bounds.ceiling(record["privacy"])
    shown = {key: row for key, row in _ATTACK.items() if key != _RARE or _resolved(record, key)}
    lines = []
    for name in [*ranked, *(name for name in tried if name not in ranked)]:
        held = {key: records.metric(record, "privacy", "attacks", name, key) for key in shown}
        cells = "".join(cell(held[key], row, row.label) for key, row in shown.items())
        bar = _bar(held["auc"], limits)
        note = "<small>the strongest</small>" if [name] == ranked[:1] and len(tried) > 1 else ""
        lines.append(f"<tr><th>{escape(name)}{note}</th>{cells}<td>{bar}</td></tr>")
    lines.append(_line("Guessing", _CHANCE, shown))
    if limits:
        lines.append(
            _line("Most the guarantee allows", limits, shown, "on average; shaded beyond it")
        )
    labels = (row.label for row in shown.values())
    head = "".join(f"<th>{text}</th>" for text in ("Attack", *labels, "AUC, 95 % interval"))
    return (
        f'<table class="metrics attacks"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>{_reading(limits)}"
    )


def _bar(auc: dict, limits: dict | None) -> str:
    if not records.known(auc):
        return ""
    ends = (min(0.4, auc["value"] if auc.get("low") is None else auc["low"]), 1.0)
    return bar_svg(auc, None, ends, 0.5, limits and limits["auc"])


def _resolved(record: dict, key: str) -> bool:
    """Whether any attack has a value for this metric."""
    tried = record["privacy"]["attacks"]
    return any(records.known(records.metric(record, "privacy", "attacks", a, key)) for a in tried)


def _line(
    label: str, figures: Mapping[str, float], shown: Mapping[str, Row], note: str = ""
) -> str:
    cells = "".join(
        f'<td data-head="{row.label}">{number(row.scale * figures[key])}'
        f"{' %' if row.scale == 100 else ''}</td>"
        for key, row in shown.items()
    )
    return f"<tr><th>{label}<small>{note}</small></th>{cells}<td></td></tr>"


def _reading(limits: dict | None) -> str:
    text = (
        "TPR at 1 % FPR: share of the members found when one non-member in a hundred is falsely"
        " accused. Advantage: the widest gap between the two rates; its threshold is chosen after"
        " the fact, so it lies above 0 even for guessing."
    )
    if limits:
        text += (
            " The limit is taken at (2ε, δ(1 + e<sup>ε</sup>)) where neighbours differ by adding or"
            " removing: the number of members is fixed, so without one member there is another."
        )
    return f'<p class="note">{text}</p>'


def _curves(record: dict) -> str:
    """The ROC curves of the strongest attacks that have one, beside what (eps, delta) excludes."""
    tried = record["privacy"].get("attacks") or {}
    ranked = [(name, tried[name].get("roc")) for name, _ in records.attacks(record)]
    drawn = {name: (roc["fpr"], roc["tpr"]) for name, roc in [r for r in ranked if r[1]][:_DRAWN]}
    if not drawn:
        return ""
    swap = bounds.swapped(record["privacy"])
    allowed = (lambda fpr: bounds.highest_tpr(fpr, *swap)) if swap else None
    return roc_svg(drawn, allowed) + (
        '<p class="note">Shares of members found against shares of non-members falsely accused, of the'
        " strongest attacks; higher is worse. Rates of less than one image cannot be seen.</p>"
    )
