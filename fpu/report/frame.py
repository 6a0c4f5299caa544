"""Tables of records: a row per model, eps and number of members; and all runs as CSV, a line per run."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from fpu.baselines import BASELINES
from fpu.dp.rounding import rounded_up
from fpu.models import MODELS
from fpu.report import budget, records, schema
from fpu.report.metrics import COLUMNS, FIDELITY, UTILITY, find
from fpu.report.settings import by
from fpu.report.words import decimals, grid, interval, model_name, number, plural, shape_name, value

ORDER = (*MODELS, "", *BASELINES)  # "": any other model
HEADER = ("model", "ε", "n", "runs", *(metric.column for metric in COLUMNS), "steps", "seconds")
LEGEND = (
    "Value [95 % interval of another run at these settings, where the record has one; else of the set that was made];"
    " of several runs, mean ± half of the 95 % t interval."
    " accuracy, AUC: trained on synthetic, tested on real images; floor: trained on the n real"
    " members; over one-shot: points above draws of one release at the same ε, run by run."
    " attack AUC: of the strongest attack; 0.5 is guessing."
)
_NAMES = ("dataset", "model", "eps", "delta", "n", "seed")  # columns of the CSV before metrics


class Table(NamedTuple):
    """A table of several runs: caption, column names, rows of as many cells, lines below it."""

    caption: str
    header: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str]


def rounded(run: dict) -> float:
    """eps as printed, upwards: 0.99996, which calibration gives for 1, is 1."""
    return float(rounded_up(records.eps(run), 3))


def rank(run: dict) -> int:
    """The place of a run's model in tables and legends: models, other generators, baselines."""
    model = run["config"]["model"]
    return ORDER.index(model if model in ORDER else "")


def csv(runs: Sequence[dict]) -> str:
    """One line for each run, sorted as tables are: what it is, and value, low and high of each metric of the tables."""
    import pandas as pd  # takes a second

    table = pd.DataFrame(map(_facts, sorted(runs, key=_order)))
    numeric = [column for column in table if column not in _NAMES]
    table = table.astype({"seed": "Int64"} | dict.fromkeys(numeric, float))
    return table.to_csv(index=False, lineterminator="\n")


def _facts(run: dict) -> dict:
    """A run's line of the CSV. A metric is three columns (NAME, NAME_low, NAME_high), empty where it has no value."""
    data, config = run["data"], run["config"]
    about = data["name"], model_name(config), records.eps(run), run["privacy"]["delta"]
    facts = dict(zip(_NAMES, (*about, data["n_members"], config.get("seed")), strict=True))
    for metric in COLUMNS:
        name, m = metric.column.removesuffix(" %").replace(" ", "_"), records.wide(metric.read(run))
        facts |= {name: m.get("value"), f"{name}_low": m.get("low"), f"{name}_high": m.get("high")}
    return facts | {"seconds": _seconds(run)}


def _place(run: dict) -> tuple:
    """By data set, n, model (baselines last) and eps (infinity last): runs that share it share a row of a table."""
    data, model = run["data"], model_name(run["config"])
    return data["name"], data["n_members"], rank(run), model, rounded(run)


def _order(run: dict) -> tuple:
    """The order of runs: by `_place`, then by seed, those without one first."""
    seed = run["config"].get("seed")
    return (*_place(run), -1 if seed is None else seed)


def _seconds(run: dict) -> float | None:
    return schema.at(run, "cost", "seconds", "total")


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
    """One table per data set: a row for each model, eps and number of members."""
    result = []
    for name, some in by(sorted(runs, key=_order), lambda run: run["data"]["name"]).items():
        data, rows = some[0]["data"], list(by(some, _place).values())
        classes = plural(data["n_classes"], "class", "classes")
        notes = [*_diverged(rows), *_crossings(some), *budget.notes(some), *_agreement(some)]
        caption = f"{name}: {classes}, {shape_name(data['shape'])}"
        result.append(Table(caption, HEADER, list(map(_row, rows)), notes))
    return result


def _row(runs: Sequence[dict]) -> list[str]:
    steps = [run["cost"].get("steps") or 0 for run in runs]
    times = [t for t in map(_seconds, runs) if t is not None and not math.isnan(t)]
    return [
        model_name(runs[0]["config"]),
        number(rounded(runs[0])),
        f"{runs[0]['data']['n_members']:,}",
        str(len(runs)),
        *(_mean(list(map(m.read, runs)), m.column_scale or m.scale) for m in COLUMNS),
        "–".join(f"{count:,}" for count in sorted({min(steps), max(steps)})),
        f"{statistics.fmean(times):,.0f}" if times else "–",
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


def _diverged(rows: Sequence[Sequence[dict]]) -> list[str]:
    """A line for each row of the table that lacks runs which diverged: its mean is of the better runs alone."""
    lines = []
    for runs in rows:
        if count := sum("diverged" in run for run in runs):
            model, n = model_name(runs[0]["config"]), runs[0]["data"]["n_members"]
            lines.append(
                f"{model} at ε = {number(rounded(runs[0]))}, n = {n:,}:"
                f" training diverged in {count} of {plural(len(runs), 'run')}, which made no images."
            )
    return lines


def _crossings(runs: Sequence[dict]) -> list[str]:
    """Where training pays: a line for each n and model that was compared with one-shot draws."""
    lines, gain = [], find(UTILITY, "over_one_shot").read
    compared = [run for run in runs if records.known(gain(run))]
    models = by(compared, lambda run: (run["data"]["n_members"], model_name(run["config"])))
    for (n, model), some in sorted(models.items()):
        gains = {eps: records.over_runs(map(gain, cell)) for eps, cell in by(some, rounded).items()}
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
