"""The tables on the page of one run, as cells for the template: value, interval and n beside the reference."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from fpu.privacy import bounds
from fpu.report import records, svg
from fpu.report.metrics import (
    ATTACKS,
    CLASSIFIERS,
    DISTANCES,
    METRICS,
    PAPER_EPSILON,
    UTILITY,
    Metric,
    find,
)
from fpu.report.words import interval, number, value


class Cell(NamedTuple):
    """A cell: a number with small lines below it, or the reason why there is none."""

    head: str  # of its column, for narrow screens
    text: str
    small: tuple[str, ...] = ()
    reason: str = ""
    strong: bool = False


class Line(NamedTuple):
    """A line of a table."""

    label: str
    cells: list[Cell]
    bar: Markup | None = None  # intervals, drawn; None in a table without them
    note: str = ""
    arrow: str = ""  # which way is better


class Rows(NamedTuple):
    """A table."""

    heads: tuple[str, ...]
    lines: list[Line]


def cell(m: dict, metric: Metric, head: str) -> Cell:
    """The metric's value, interval and n, or why there is none."""
    if not records.known(m):
        return Cell(head, "–", reason=str(m.get("reason", "not finite")))
    small = [interval(m, metric.scale)]
    if m.get("n") is not None:
        small.append(f"n = {m['n']:,}")
    return Cell(
        head, _scaled(value(m, metric.scale), metric), tuple(filter(None, small)), strong=True
    )


def _scaled(text: str, metric: Metric) -> str:
    return f"{text} %" if metric.scale == 100 else text


def _bar(metric: Metric, ours: dict, beside: dict | None, n_classes: int) -> Markup:
    shown = [m for m in (ours, beside) if m and records.known(m)]
    if not shown:
        return Markup()
    reach = [m[key] for m in shown for key in ("value", "low", "high") if m.get(key) is not None]
    ends = metric.ends or (min(0.0, *reach), max(1e-3, *reach) * 1.05)
    chance = metric.chance(n_classes) if metric.chance else None
    return svg.bar(ours, beside or {"value": None}, ends, chance, scale=metric.scale)


def compared(record: dict, section: tuple[str], reference: str, heads: tuple[str, str]) -> Rows:
    """One line for each metric of `fidelity` or `utility`, also of one that is not in the register.

    Args:
      reference: the row that stands beside "synthetic".
      heads: the names of the two columns.
    """
    lines = []
    for key, m in (record[section[0]].get("synthetic") or {}).items():
        if not isinstance(m, dict) or "value" not in m:  # by class: a table of its own
            continue
        metric = find(section, key)
        both = metric.read(record), metric.read(record, reference)
        cells = [cell(m, metric, head) for m, head in zip(both, heads, strict=True)]
        bar = _bar(metric, *both, record["data"]["n_classes"])
        arrow = {"higher": "↑ higher is better", "lower": "↓ lower is better"}.get(
            metric.better, ""
        )
        lines.append(Line(metric.label, cells, bar, metric.meaning, arrow))
    return Rows(("Metric", *heads, "95 % intervals"), lines)


def classifiers(record: dict) -> Rows:
    """One line for each way to train and to test; those that metrics.CLASSIFIERS does not know by their key."""
    accuracy, auc = find(UTILITY, "accuracy"), find(UTILITY, "auc")
    rows = [row for row, scores in record["utility"].items() if isinstance(scores, dict)]
    order = [row for row in CLASSIFIERS if row in rows] + [
        row for row in rows if row not in CLASSIFIERS
    ]
    lines = []
    for row in order:
        cells = [cell(m.read(record, row), m, m.label) for m in (accuracy, auc)]
        bar = _bar(accuracy, accuracy.read(record, row), None, record["data"]["n_classes"])
        lines.append(Line(CLASSIFIERS.get(row, row.replace("_", " ")), cells, bar))
    return Rows(("Classifier", accuracy.label, auc.label, "Accuracy, 95 % interval"), lines)


def recall(record: dict) -> Rows | None:
    """The share of each class that is found; None where a record does not hold it."""
    sides = [_dict(_dict(record["utility"], row), "recall") for row in ("synthetic", "members")]
    names, heads = record["data"].get("class_names") or [], ("Synthetic", "Floor")
    share = Metric(UTILITY, "recall", "Recall", scale=100, ends=(0, 1))
    lines = []
    for key in sides[0]:
        name = names[int(key)] if key.isdecimal() and int(key) < len(names) else key
        ours, floor = (records.metric(side, key) for side in sides)
        cells = [cell(ours, share, heads[0]), cell(floor, share, heads[1])]
        lines.append(Line(name, cells, _bar(share, ours, floor, 1)))
    return Rows(("Class", *heads, "95 % intervals"), lines) if lines else None


def _dict(node: dict, key: str) -> dict:
    """The dict at this key; empty where there is none."""
    inner = node.get(key)
    return inner if isinstance(inner, dict) else {}


def attacks(record: dict) -> Rows | None:
    """One line for each membership attack, the strongest first; then guessing, and the most the guarantee allows."""
    tried = record["privacy"].get("attacks") or {}
    if not tried:
        return None
    ranked = [name for name, _ in records.attacks(record)]
    shown = _attack_metrics(tried)
    limits, auc = bounds.ceiling(record["privacy"]), find(ATTACKS, "auc")
    lines = []
    for name in [*ranked, *(name for name in tried if name not in ranked)]:
        cells = [cell(metric.read(record, name), metric, metric.label) for metric in shown]
        note = "the strongest" if [name] == ranked[:1] and len(tried) > 1 else ""
        lines.append(Line(name, cells, _attack_bar(auc.read(record, name), limits), note))
    chances = {metric.key: metric.chance(2) for metric in shown if metric.chance}
    lines.append(Line("Guessing", _plain(chances, shown), Markup()))
    if limits:
        note = "on average; shaded beyond it"
        lines.append(Line("Most the guarantee allows", _plain(limits, shown), Markup(), note))
    return Rows(("Attack", *(metric.label for metric in shown), "AUC, 95 % interval"), lines)


def _attack_metrics(tried: dict) -> list[Metric]:
    """Those of the register, then others; TPR at 0.1 % takes 1,000 non-members: only where some attack has it."""
    register = [m for m in METRICS if m.section == ATTACKS and m.compute is None]
    keys = [
        key
        for attack in tried.values()
        for key, m in attack.items()
        if isinstance(m, dict) and "value" in m
    ]
    others = [key for key in dict.fromkeys(keys) if key not in {m.key for m in register}]
    rare = any(records.known(records.metric(attack, "tpr_at_01_fpr")) for attack in tried.values())
    register = [m for m in register if rare or m.key != "tpr_at_01_fpr"]
    return [*register, *(find(ATTACKS, key) for key in others)]


def _attack_bar(auc: dict, limits: dict | None) -> Markup:
    if not records.known(auc):
        return Markup()
    ends = (min(0.4, auc["value"] if auc.get("low") is None else auc["low"]), 1.0)
    return svg.bar(auc, None, ends, 0.5, limits["auc"] if limits else None)


def _plain(numbers: Mapping[str, float], shown: Sequence[Metric]) -> list[Cell]:
    """Numbers without an interval, in the columns of attacks."""
    return [
        Cell(m.label, _scaled(number(m.scale * numbers[m.key]), m) if m.key in numbers else "–")
        for m in shown
    ]


def distances(record: dict) -> Rows | None:
    """How the distances to the closest training image differ from those of unseen real images."""
    return _list(record["privacy"].get("distance_to_closest_record"), DISTANCES, "Distance")


def paper_epsilon(record: dict) -> Rows | None:
    """The empirical epsilon of arXiv:2606.07640."""
    overall = _dict(_dict(record["privacy"], "empirical_epsilon"), "overall")
    return _list(overall, PAPER_EPSILON, "Empirical epsilon")


def _list(found: dict | None, section: tuple[str, ...], head: str) -> Rows | None:
    """A line for each metric of a section without rows."""
    metrics = {key: m for key, m in (found or {}).items() if isinstance(m, dict) and "value" in m}
    lines = [
        Line(metric.label, [cell(m, metric, head)], note=metric.meaning)
        for key, m in metrics.items()
        for metric in [find(section, key)]
    ]
    return Rows((), lines) if lines else None


def audit(found: dict) -> Rows:
    """One line for each score and method of an audit: the bound, and how high it could have come."""
    heads = ("ε is at least (95 %)", "Best attack on the claim", "Perfect attack")
    lines = []
    for score, methods in found["scores"].items():
        for method, row in methods.items():
            bound, ceiling, limit = (number(row[key]) for key in ("bound", "ceiling", "limit"))
            small = ("refutes the claim",) if row["refuted"] else ()
            first = Cell(heads[0], bound, small, strong=True)
            cells = [first, Cell(heads[1], ceiling), Cell(heads[2], limit)]
            lines.append(Line(score, cells, note=method.replace("_", " ")))
    return Rows(("Score, method", *heads), lines)
