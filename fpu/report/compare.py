"""Comparing models at matched settings (same data, number of members and noise): paired differences, Pareto sets."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fpu.baselines import BASELINES, RELEASES
from fpu.intervals import missing
from fpu.report import metrics, records
from fpu.report.frame import Table, rounded
from fpu.report.settings import by
from fpu.report.words import model_name, number

# No mechanism: never compared with private ones.
UNPROTECTED = tuple(name for name in BASELINES if name not in RELEASES)
RESAMPLES = 2000
PARETO_NOTE = (
    "In the Pareto set: no other model here is at least as good on all axes and better on one. The share is of "
    f"{RESAMPLES:,} bootstrap samples: runs are drawn again, and each mean is moved by the noise of its runs' own "
    "intervals. utility: accuracy or AUC; fidelity: coverage; privacy: AUC of the strongest attack, less is better."
)


class Setting(NamedTuple):
    """What runs must share to be compared."""

    dataset: str
    n: int
    delta: float  # 0 where nothing is private, or the noise is nominal
    level: float  # more is more noise
    noise: str  # "ε = 1"; of the paper preset, whose noise is nominal, "σ = 0.1"

    def words(self) -> str:
        """For a caption."""
        delta = f", δ = {number(self.delta)}" if self.delta else ""
        return f"{self.dataset}, n = {self.n:,}, {self.noise}{delta}"


def setting(run: dict) -> Setting:
    """Of one run. Where nothing is private there is no delta."""
    data, sigma = run["data"], run["privacy"].get("noise_multiplier") or 0.0
    eps = rounded(run)
    if nominal(run):
        return Setting(data["name"], data["n_members"], 0.0, sigma, f"σ = {sigma:g}")
    delta = 0.0 if math.isinf(eps) else run["privacy"]["delta"]
    level = 1 / eps if eps else math.inf
    return Setting(data["name"], data["n_members"], delta, level, f"ε = {number(eps)}")


def nominal(run: dict) -> bool:
    """Whether a run's noise is a multiplier that nobody calibrated, as that of the paper is."""
    return run["config"].get("preset") == "paper"


def settings(runs: Sequence[dict]) -> dict[Setting, dict[str, list[dict]]]:
    """{setting: {model: its runs}}, of settings in which two models or more were tried. No real images among them."""
    runs = [r for r in runs if r["config"]["model"] not in UNPROTECTED]
    groups = {where: by(some, name) for where, some in by(runs, setting).items()}
    return {where: models for where, models in sorted(groups.items()) if len(models) > 1}


def name(run: dict) -> str:
    """The model, as tables name it."""
    return model_name(run["config"])


def subset(run: dict) -> tuple:
    """What makes runs a pair: seed and members."""
    return run["config"].get("seed"), run["data"].get("sha256_members")


def axis(run: dict, which: str) -> dict:
    """A run's metric on one of metrics.AXES, turned so that more is better."""
    for metric in metrics.AXES[which]:
        m = records.wide(metric.read(run))
        if records.known(m):
            sign = -1 if metric.better == "lower" else 1
            ends = sorted(sign * m[k] for k in ("low", "high") if m.get(k) is not None)
            low, high = ends if len(ends) == 2 else (None, None)
            return {"value": sign * m["value"], "low": low, "high": high, "n": m.get("n")}
    return missing("not in this record")


def difference(ours: Sequence[dict], theirs: Sequence[dict], read: Callable) -> dict | None:
    """Mean of `read` of ours less theirs over pairs, with a 95 % t interval from two pairs on; None without a pair."""
    others = {subset(run): read(run) for run in theirs}
    pairs = [(read(run), others[subset(run)]) for run in ours if subset(run) in others]
    gains = (records.point(a["value"] - b["value"]) for a, b in pairs if records.known(a, b))
    return records.over_runs(gains)


def clear(gain: dict | None) -> int:
    """+1 or -1 where an interval lies above or below 0, else 0."""
    if gain is None or gain["low"] is None:
        return 0
    return int(gain["low"] > 0) - int(gain["high"] < 0)


def orders(runs: Sequence[dict], axes: tuple[str, str]) -> list[tuple[Setting, str, str, int, int]]:
    """(setting, model, model, order on one axis, on the other) of all pairs of models that are clear on both."""
    pairs = []
    for where, models in settings(runs).items():
        for a, b in combinations(models, 2):
            signs = [
                clear(difference(models[a], models[b], lambda run, which=which: axis(run, which)))
                for which in axes
            ]
            if all(signs):
                pairs.append((where, a, b, *signs))
    return pairs


def pareto(runs: Sequence[dict]) -> list[Table]:
    """A table for each setting in which two models or more were tried: how surely each is in the Pareto set."""
    tables = []
    for where, models in settings(runs).items():
        points = {model: both for model, some in models.items() if (both := _points(some))}
        if len(points) < 2:
            continue
        shares = membership(list(points.values()))
        ranked = sorted(zip(points, shares, strict=True), key=lambda pair: (-pair[1], pair[0]))
        rows = []
        for model, share in ranked:
            means = np.abs(points[model][0].mean(axis=0))
            rows.append(
                [model, str(len(models[model])), f"{100 * share:.0f}", *(f"{v:.3f}" for v in means)]
            )
        header = ("model", "runs", "in the Pareto set %", *metrics.AXES)
        tables.append(Table(f"Pareto set: {where.words()}", header, rows, []))
    return tables


def _points(runs: Sequence[dict]) -> tuple[np.ndarray, np.ndarray] | None:
    """(values [R, 3], standard errors [R, 3]) of the runs that have all axes; None of none."""
    values, errors = [], []
    for run in runs:
        axes = [axis(run, which) for which in metrics.AXES]
        if records.known(*axes):
            values.append([m["value"] for m in axes])
            errors.append(
                [0.0 if m["low"] is None else (m["high"] - m["low"]) / 3.92 for m in axes]
            )
    return (np.array(values), np.array(errors)) if values else None


def membership(models: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> np.ndarray:
    """The share of bootstrap samples in which each model is in the Pareto set.

    models: (values, standard errors) of each, [runs, axes] both; more is better on every axis. A run's own error is
    that of its test images. What another subset would change shows between runs, and does not show where there is one
    run.
    """
    rng = np.random.default_rng(seed)
    means = []
    for values, errors in models:
        drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
        own = rng.standard_normal((*drawn.shape, values.shape[1])) * errors[drawn]
        means.append((values[drawn] + own).mean(axis=1))
    means = np.stack(means)  # [models, RESAMPLES, axes]
    beaten = np.zeros(means.shape[:2], bool)
    for other in means:
        beaten |= (other >= means).all(axis=2) & (other > means).any(axis=2)
    return 1 - beaten.mean(axis=1)
