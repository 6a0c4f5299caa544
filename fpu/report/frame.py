"""Records as a pandas frame, one row per run; from it tables of a row per model, eps and number of members, and CSV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import rankdata

from fpu.baselines import BASELINES
from fpu.dp.rounding import rounded_up
from fpu.models import MODELS
from fpu.report import budget, records
from fpu.report.metrics import COLUMNS, FIDELITY, UTILITY, Metric, find
from fpu.report.words import decimals, grid, interval, model_name, number, plural, shape_name, value

if TYPE_CHECKING:
    import pandas as pd

ORDER = (*MODELS, "", *BASELINES)  # "": any other model
HEADER = ("model", "ε", "n", "runs", *(metric.column for metric in COLUMNS), "steps", "seconds")
LEGEND = (
    "Value [95 % interval of another run at these settings, where the record has one; else of the set that was made];"
    " of several runs, mean ± half of the 95 % t interval."
    " accuracy, AUC: trained on synthetic, tested on real images; floor: trained on the n real"
    " members; over one-shot: points above draws of one release at the same ε, run by run."
    " attack AUC: of the strongest attack; 0.5 is guessing."
)
_ROW = ["dataset", "n", "rank", "model", "rounded"]  # runs that share these share a row


class Table(NamedTuple):
    """A table of several runs: caption, column names, rows of as many cells, lines below it."""

    caption: str
    header: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str]


def frame(runs: Sequence[dict]) -> pd.DataFrame:
    """One row per run, sorted as tables are: by data set, n, model (baselines last) and eps (infinity last).

    The index is the place in `runs`. A metric is three columns (NAME, NAME_low, NAME_high), NaN where it has no value.
    """
    rows = []
    for run in runs:
        config, data, cost = run["config"], run["data"], run["cost"]
        metrics = {_name(metric): records.wide(metric.read(run)) for metric in COLUMNS}
        rows.append(
            {
                "dataset": data["name"],
                "model": model_name(config),
                "eps": records.eps(run),
                "delta": run["privacy"]["delta"],
                "n": data["n_members"],
                "seed": config.get("seed"),
                **{
                    name + end: metric.get(key)
                    for name, metric in metrics.items()
                    for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
                },
                "seconds": (cost.get("seconds") or {}).get("total"),
                "steps": cost.get("steps") or 0,
                "diverged": "diverged" in run,
                "rank": rank(run),
                "rounded": rounded(run),
            }
        )
    import pandas as pd  # takes a second: only where tables are made

    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    numeric = [name + end for name in map(_name, COLUMNS) for end in ("", "_low", "_high")]
    table[[*numeric, "seconds"]] = table[[*numeric, "seconds"]].astype(float)
    return table.sort_values([*_ROW, "seed"], kind="stable", na_position="first")


def rounded(run: dict) -> float:
    """eps as printed, upwards: 0.99996, which calibration gives for 1, is 1."""
    return float(rounded_up(records.eps(run), 3))


def rank(run: dict) -> int:
    """The place of a run's model in tables and legends: models, other generators, baselines."""
    model = run["config"]["model"]
    return ORDER.index(model if model in ORDER else "")


def csv(runs: Sequence[dict]) -> str:
    """One line for each run: what it is, and value, low and high of every metric of the tables."""
    table = frame(runs)
    table = table.drop(columns=["steps", "diverged", "rank", "rounded"])
    return table.to_csv(index=False, lineterminator="\n")


def markdown(runs: Sequence[dict]) -> str:
    """The tables as markdown."""
    return printed([], tables(runs), [LEGEND])


def printed(head: Sequence[str], several: Sequence[Table], end: Sequence[str] = ()) -> str:
    """Tables with their notes as markdown, between other paragraphs."""
    parts = [*head]
    for table in several:
        parts += [f"**{table.caption}**", grid(table.header, table.rows), *table.notes]
    return "\n\n".join([*parts, *end]) + "\n"


def tables(runs: Sequence[dict]) -> list[Table]:
    """One table per data set, sorted as `frame` is."""
    result = []
    for name, rows in frame(runs).groupby("dataset"):
        on_data = [runs[i] for i in rows.index]
        data = on_data[0]["data"]
        classes = plural(data["n_classes"], "class", "classes")
        notes = [
            *_diverged(rows),
            *_crossings(rows, runs),
            *budget.notes(on_data),
            *_agreement(on_data),
        ]
        caption = f"{name}: {classes}, {shape_name(data['shape'])}"
        body = [_row(cell, runs) for _, cell in rows.groupby(_ROW)]
        result.append(Table(caption, HEADER, body, notes))
    return result


def _name(metric: Metric) -> str:
    """The column of a metric in the frame: 'accuracy', 'over_one-shot', 'KID'."""
    return metric.column.removesuffix(" %").replace(" ", "_")


def _row(rows: pd.DataFrame, runs: Sequence[dict]) -> list[str]:
    """The cells of the runs that share a row. rows: theirs of `frame`."""
    first, shown = rows.iloc[0], [runs[i] for i in rows.index]
    metrics = [
        _mean(list(map(metric.read, shown)), metric.column_scale or metric.scale)
        for metric in COLUMNS
    ]
    steps = rows["steps"].to_list()
    steps = "–".join(f"{count:,}" for count in sorted({min(steps), max(steps)}))
    times = rows["seconds"].dropna().to_list()
    seconds = f"{statistics.fmean(times):,.0f}" if times else "–"
    return [
        first["model"],
        number(first["rounded"]),
        f"{first['n']:,}",
        str(len(rows)),
        *metrics,
        steps,
        seconds,
    ]


def _mean(metrics: list[dict], scale: float) -> str:
    """One metric with its own interval; of several, the mean and the half-width of a t interval."""
    mean = records.over_runs(metrics)
    if mean is None:
        return "–"
    count = sum(map(records.known, metrics))
    if count == 1:
        text = f"{value(mean, scale)} {interval(mean, scale)}".strip()
    else:
        places, half = decimals(mean, scale), (mean["high"] - mean["low"]) / 2
        text = f"{value(mean, scale)} ± {scale * half:,.{places}f}"
    return text if count == len(metrics) else f"{text} ({count} of {len(metrics)})"


def _diverged(rows: pd.DataFrame) -> list[str]:
    """A line for each row of the table that lacks runs which diverged: its mean is of the better runs alone."""
    lines = []
    for _, cell in rows.groupby(_ROW):
        if count := cell["diverged"].to_list().count(True):
            first = cell.iloc[0]
            lines.append(
                f"{first['model']} at ε = {number(first['rounded'])}, n = {first['n']:,}:"
                f" training diverged in {count} of {plural(len(cell), 'run')}, which made no images."
            )
    return lines


def _crossings(rows: pd.DataFrame, runs: Sequence[dict]) -> list[str]:
    """Where training pays: a line for each n and model that was compared with one-shot draws."""
    lines = []
    compared = rows.loc[np.isfinite(rows["over_one-shot"])]
    gain = find(UTILITY, "over_one_shot").read
    for (n, model), cells in compared.groupby(["n", "model"]):
        gains = {
            eps: records.over_runs(gain(runs[i]) for i in cell.index)
            for eps, cell in cells.groupby("rounded")
        }
        ahead = [eps for eps, mean in gains.items() if mean and (mean["low"] or 0) > 0]
        first = f"first at ε = {min(ahead):g}" if ahead else "at none of them"
        lines.append(
            f"{model}, n = {n:,}: more accurate than the one-shot draws {first}"
            f" (ε = {', '.join(f'{eps:g}' for eps in gains)}; the paired interval must lie above 0)."
        )
    return lines


def _agreement(runs: Sequence[dict]) -> list[str]:
    """Whether KID ranks these runs alike in trained and in random features: one line, from four runs on."""
    both = [find(FIDELITY, name) for name in ("kid", "kid_random")]
    pairs = [[metric.read(run) for metric in both] for run in runs]
    values = [[m["value"] for m in pair] for pair in pairs if records.known(*pair)]
    if len(values) < 4 or any(len(set(side)) == 1 for side in zip(*values, strict=True)):
        return []
    rho = np.corrcoef(rankdata(values, axis=0), rowvar=False)[0, 1]
    doubt = "" if rho >= 0.8 else " They disagree: rely on neither."
    return [
        f"KID ranks these {len(values)} runs in trained and in random features with Spearman's"
        f" ρ = {rho:.2f}.{doubt}"
    ]
