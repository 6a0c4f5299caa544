"""Records as tables: a row per model, eps and number of members, over seeds and subsets."""

import io
import math
import statistics
from collections.abc import Callable, Sequence
from csv import writer
from itertools import groupby
from typing import NamedTuple

from scipy.special import stdtrit
from scipy.stats import spearmanr

from fpu.report import records, spent
from fpu.report.wording import decimals, interval, model_name, number, plural, shape_name, value

ORDER = ("vae", "gan", "ddpm", "", *records.BASELINES)  # "": any other model


class Table(NamedTuple):
    """The table of one data set: caption, column names, rows of as many cells, lines below it."""

    caption: str
    header: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str]


def _strongest_attack(record: dict) -> dict:
    ranked = records.attacks(record)
    return ranked[0][1] if ranked else records.metric(record, "no attack")


def _over_one_shot(record: dict) -> dict:
    """Accuracy less that of bare draws from one release at the same eps, on the same members; no interval."""
    ours, simple = (
        records.metric(record, "utility", row, "accuracy") for row in ("synthetic", "one_shot")
    )
    if not records.known(ours, simple):
        return records.metric(record, "no one-shot rival")
    return {"value": ours["value"] - simple["value"], "low": None, "high": None, "n": ours["n"]}


COLUMNS: dict[str, tuple[Callable[[dict], dict], float]] = {  # column: (its metric, scale)
    "accuracy %": (lambda r: records.metric(r, "utility", "synthetic", "accuracy"), 100),
    "over one-shot": (_over_one_shot, 100),
    "floor %": (lambda r: records.metric(r, "utility", "members", "accuracy"), 100),
    "AUC": (lambda r: records.metric(r, "utility", "synthetic", "auc"), 1),
    "KID": (lambda r: records.metric(r, "fidelity", "synthetic", "kid"), 1),
    "FD": (lambda r: records.metric(r, "fidelity", "synthetic", "fd"), 1),
    "coverage": (lambda r: records.metric(r, "fidelity", "synthetic", "coverage"), 1),
    "attack AUC": (_strongest_attack, 1),
}
HEADER = ("model", "ε", "n", "runs", *COLUMNS, "steps", "seconds")
LEGEND = (
    "Value [95 % interval of the run]; over several runs, mean ± half of the 95 % t interval."
    " accuracy, AUC: trained on synthetic, tested on real images; floor: trained on the n real"
    " members; over one-shot: points over bare draws of one release at the same ε, run by run."
    " attack AUC: of the strongest attack; 0.5 is guessing."
)


def tables(runs: Sequence[dict]) -> list[Table]:
    """One table per data set; rows by n, model (baselines last) and eps (infinity last)."""
    result = []
    for name, on_data in groupby(sorted(runs, key=_key), key=lambda r: r["data"]["name"]):
        on_data = list(on_data)
        data = on_data[0]["data"]
        classes = plural(data["n_classes"], "class", "classes")
        rows = [_row(list(cell)) for _, cell in groupby(on_data, key=_key)]
        caption = f"{name}: {classes}, {shape_name(data['shape'])}"
        result.append(
            Table(
                caption,
                HEADER,
                rows,
                [
                    *_diverged(on_data),
                    *_crossings(on_data),
                    *spent.notes(on_data),
                    *_agreement(on_data),
                ],
            )
        )
    return result


def _diverged(runs: Sequence[dict]) -> list[str]:
    """A line for each row that lacks runs which diverged: what is left of them is the better part."""
    rows = [list(row) for _, row in groupby(runs, key=_key)]
    return [
        f"{model_name(row[0]['config'])} at ε = {number(records.eps(row[0]))}, n = {row[0]['data']['n_members']:,}:"
        f" training diverged in {count} of {plural(len(row), 'run')}, which made no images."
        for row in rows
        if (count := sum("diverged" in run for run in row))
    ]


def _crossings(runs: Sequence[dict]) -> list[str]:
    """Where training pays: a line for each model with a private run beside a one-shot rival, for each n."""
    lines = []
    held = [r for r in runs if records.known(_over_one_shot(r))]
    for (n, name), mine in groupby(sorted(held, key=_place), key=_place):
        mine = sorted(mine, key=_key)
        gains = {
            key[-1]: over_runs([_over_one_shot(r) for r in each])
            for key, each in groupby(mine, key=_key)
        }
        ahead = [eps for eps, gain in gains.items() if gain["low"] is not None and gain["low"] > 0]
        tried = ", ".join(f"{eps:g}" for eps in gains)
        said = f"first at ε = {min(ahead):g}" if ahead else "at none of them"
        lines.append(
            f"{name}, n = {n:,}: more accurate than the one-shot draws {said}"
            f" (ε = {tried}; the paired interval must lie above 0)."
        )
    return lines


def _place(record: dict) -> tuple:
    return record["data"]["n_members"], model_name(record["config"])


def _agreement(runs: Sequence[dict]) -> list[str]:
    """Whether KID ranks these runs alike in trained and in random features: one line, from four runs on."""
    names = ("kid", "kid_random")
    pairs = [[records.metric(r, "fidelity", "synthetic", name) for name in names] for r in runs]
    held = [[m["value"] for m in pair] for pair in pairs if records.known(*pair)]
    if len(held) < 4 or any(len(set(side)) == 1 for side in zip(*held, strict=True)):
        return []
    rho = spearmanr(held).statistic
    doubt = "" if rho >= 0.8 else " They disagree: rely on neither."
    return [
        f"KID ranks these {len(held)} runs in trained and in random features with Spearman's"
        f" ρ = {rho:.2f}.{doubt}"
    ]


def markdown(runs: Sequence[dict]) -> str:
    """The tables as markdown."""
    parts = []
    for caption, header, rows, notes in tables(runs):
        lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        body = "\n".join(f"| {' | '.join(line)} |" for line in cells)
        parts += [f"**{caption}**", body, *notes]
    return "\n\n".join([*parts, LEGEND]) + "\n"


def csv(runs: Sequence[dict]) -> str:
    """One line for each run: what it is, and value, low and high of every metric of the tables."""
    text = io.StringIO()
    ends = ("", "_low", "_high")
    columns = [
        f"{name.removesuffix(' %').replace(' ', '_')}{end}" for name in COLUMNS for end in ends
    ]
    lines = writer(text, lineterminator="\n")
    lines.writerow(["dataset", "model", "eps", "delta", "n", "seed", *columns, "seconds"])
    for record in sorted(runs, key=lambda r: (*_key(r), r["config"].get("seed") or 0)):
        config, data, privacy = (record[part] for part in ("config", "data", "privacy"))
        metrics = [read(record) for read, _ in COLUMNS.values()]
        held = [m.get(key) for m in metrics for key in ("value", "low", "high")]
        facts = [data["name"], model_name(config), privacy["eps"], privacy["delta"]]
        seconds = (record["cost"].get("seconds") or {}).get("total")
        lines.writerow([*facts, data["n_members"], config.get("seed"), *held, seconds])
    return text.getvalue()


def _key(record: dict) -> tuple:
    """What makes records runs of one row: data set, n, model with its preset, eps as printed."""
    config, data = record["config"], record["data"]
    rank = ORDER.index(config["model"] if config["model"] in ORDER else "")
    eps = float(f"{records.eps(record):.3g}")
    return data["name"], data["n_members"], rank, model_name(config), eps


def _row(runs: list[dict]) -> list[str]:
    name, n = model_name(runs[0]["config"]), runs[0]["data"]["n_members"]
    metrics = [_mean([read(r) for r in runs], scale) for read, scale in COLUMNS.values()]
    steps = sorted({r["cost"].get("steps") or 0 for r in runs})
    steps = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,}–{steps[-1]:,}"
    spent = [s for r in runs if (s := (r["cost"].get("seconds") or {}).get("total")) is not None]
    seconds = f"{statistics.fmean(spent):,.0f}" if spent else "–"
    eps = number(records.eps(runs[0]))
    return [name, eps, f"{n:,}", str(len(runs)), *metrics, steps, seconds]


def _mean(metrics: list[dict], scale: float) -> str:
    """One metric with its own interval; of several, the mean and the half-width of a t interval."""
    found = over_runs(metrics)
    if found is None:
        return "–"
    held = sum(map(records.known, metrics))
    if held == 1:
        text = f"{value(found, scale)} {interval(found, scale)}".strip()
    else:
        places, half = decimals(found, scale), (found["high"] - found["low"]) / 2
        text = f"{value(found, scale)} ± {scale * half:,.{places}f}"
    return text if held == len(metrics) else f"{text} ({held} of {len(metrics)})"


def over_runs(metrics: Sequence[dict]) -> dict | None:
    """The mean of those that have a value, low to high its 95 % t interval; one alone keeps its own; None of none."""
    held = [m for m in metrics if records.known(m)]
    if len(held) < 2:
        return held[0] if held else None
    values = [m["value"] for m in held]
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    return {"value": mean, "low": mean - half, "high": mean + half, "n": len(values)}
