"""The tables on the page of one run: for each line a label, metrics to print and a bar of intervals."""

from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from fpu.privacy import bounds
from fpu.report import records, schema, svg
from fpu.report.metrics import ATTACKS, CLASSIFIERS, METRICS, UTILITY, Metric, attack_words, find

_ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "": ""}


class Line(NamedTuple):
    """A line of a table."""

    label: str
    cells: list[tuple[dict, float]]  # metrics and their scales; 100 prints percent
    bar: Markup | None = None  # None in a table without bars
    note: str = ""
    arrow: str = ""


class Rows(NamedTuple):
    """A table. The first column is the label, then come the cells, then the bar."""

    heads: tuple[str, ...]
    lines: list[Line]


def _bar(metric: Metric, ours: dict, beside: dict | None, n_classes: int) -> Markup:
    shown = [m for m in (ours, beside) if m and records.known(m)]
    if not shown:
        return Markup()
    reach = [value for m in shown for value in (m["value"], *records.ends(m))]
    ends = metric.ends or (min(0.0, *reach), max(1e-3, *reach) * 1.05)
    chance = metric.chance(n_classes) if metric.chance else None
    return svg.bar(ours, beside or {"value": None}, ends, chance, scale=metric.scale)


def _values(section: object) -> list[str]:
    """The keys of its metrics; by-class sections and curves have tables of their own."""
    items = section.items() if isinstance(section, dict) else ()
    return [key for key, m in items if isinstance(m, dict) and "value" in m]


def compared(record: dict, section: tuple[str], reference: str, heads: tuple[str, str]) -> Rows:
    """One line for each metric of `fidelity` or `utility`, also of one that is not in the register.

    reference: the row that stands beside "synthetic". heads: the names of the two columns.
    """
    lines = []
    for key in _values(record[section[0]].get("synthetic")):
        metric = find(section, key)
        ours, beside = metric.read(record), metric.read(record, reference)
        bar = _bar(metric, ours, beside, record["data"]["n_classes"])
        cells = [(ours, metric.scale), (beside, metric.scale)]
        lines.append(Line(metric.label, cells, bar, metric.meaning, _ARROWS[metric.better]))
    return Rows(("Metric", *heads, "95 % intervals"), lines)


def classifiers(record: dict) -> Rows:
    """One line for each way to train and to test; those that metrics.CLASSIFIERS does not know by their key."""
    accuracy, auc = find(UTILITY, "accuracy"), find(UTILITY, "auc")
    lines = []
    for row in dict.fromkeys((*CLASSIFIERS, *record["utility"])):
        if record["utility"].get(row) is not None:
            ours = accuracy.read(record, row)
            cells = [(ours, accuracy.scale), (auc.read(record, row), auc.scale)]
            bar = _bar(accuracy, ours, None, record["data"]["n_classes"])
            lines.append(Line(CLASSIFIERS.get(row, row.replace("_", " ")), cells, bar))
    return Rows(("Classifier", accuracy.label, auc.label, "Accuracy, 95 % interval"), lines)


def recall(record: dict) -> Rows | None:
    """The share of each class that is found; None where a record does not hold it."""
    names = record["data"].get("class_names") or []
    share = Metric(UTILITY, "recall", "Recall", scale=100, ends=(0, 1))
    lines = []
    for key in _values(schema.at(record, "utility", "synthetic", "recall")):
        name = names[int(key)] if key.isdecimal() and int(key) < len(names) else key
        ours, floor = records.pair(record, "utility", "members", "recall", key)
        lines.append(Line(name, [(ours, 100), (floor, 100)], _bar(share, ours, floor, 1)))
    return Rows(("Class", "Synthetic", "Floor", "95 % intervals"), lines) if lines else None


def attacks(record: dict) -> Rows | None:
    """One line for each membership attack, the strongest first; then guessing, and the most the guarantee allows."""
    tried = record["privacy"].get("attacks") or {}
    if not tried:
        return None
    shown, limits = _attack_metrics(tried), bounds.ceiling(record["privacy"])
    ranked = [name for name, _ in records.attacks(record)]
    lines = []
    for name in dict.fromkeys((*ranked, *tried)):
        cells = [(metric.read(record, name), metric.scale) for metric in shown]
        strongest = "The strongest. " if [name] == ranked[:1] and len(tried) > 1 else ""
        note = f"{strongest}{attack_words(name)}".strip()
        bar = _attack_bar(records.metric(tried[name], "auc"), limits)
        lines.append(Line(name.replace("_", " "), cells, bar, note))
    chances = {metric.key: metric.chance(2) for metric in shown if metric.chance}
    lines.append(Line("Guessing", _points(chances, shown), Markup()))
    if limits:
        note = "on average; shaded beyond it"
        lines.append(Line("Most the guarantee allows", _points(limits, shown), Markup(), note))
    return Rows(("Attack", *(metric.label for metric in shown), "AUC, 95 % interval"), lines)


def _attack_metrics(tried: dict) -> list[Metric]:
    """Those of the register, then others. TPR at 0.1 % takes 1,000 non-members: only where some attack has it."""
    register = [m.key for m in METRICS if m.section == ATTACKS and m.compute is None]
    held = [key for attack in tried.values() for key in _values(attack)]
    keys = dict.fromkeys((*register, *held))
    if not any(records.known(records.metric(attack, "tpr_at_01_fpr")) for attack in tried.values()):
        keys.pop("tpr_at_01_fpr")
    return [find(ATTACKS, key) for key in keys]


def _attack_bar(auc: dict, limits: dict | None) -> Markup:
    if not records.known(auc):
        return Markup()
    ends = (min(0.4, records.ends(auc)[0]), 1.0)
    return svg.bar(auc, None, ends, 0.5, limits["auc"] if limits else None)


def _points(numbers: dict[str, float], shown: Iterable[Metric]) -> list[tuple[dict, float]]:
    """Numbers without an interval, in the columns of the attacks."""
    known = ((numbers.get(metric.key), metric.scale) for metric in shown)
    return [({"value": number, "reason": ""}, scale) for number, scale in known]


def listed(record: dict, section: tuple[str, ...]) -> Rows | None:
    """A line for each metric of a section without rows; None without one."""
    metrics = [find(section, key) for key in _values(schema.at(record, *section))]
    lines = [Line(m.label, [(m.read(record, None), m.scale)], note=m.meaning) for m in metrics]
    return Rows((), lines) if lines else None


def audit(scores: dict) -> Rows:
    """One line for each score and method of an audit: the bounds, and how high they could have come."""
    lines = []
    for score, methods in scores.items():
        for method, row in methods.items():
            values = (row.get(key) for key in ("bound", "ceiling", "at_alarm", "limit"))
            cells = [({"value": value, "reason": "not in this record"}, 1.0) for value in values]
            note = method.replace("_", " ") + (": refutes the claim" if row["refuted"] else "")
            lines.append(Line(score, cells, note=note))
    heads = ("Score, method", "ε is at least (95 %)", "Best attack on the claim (95 %)")
    return Rows((*heads, "ε is at least (alarm)", "Perfect attack (alarm)"), lines)
