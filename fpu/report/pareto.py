"""Pareto sets at matched eps: which models nothing beats on fidelity, privacy and utility at once, and how surely."""

from collections.abc import Sequence

import numpy as np

from fpu.report import paired
from fpu.report.records import known
from fpu.report.tables import Table

RESAMPLES = 2000
HEADER = ("model", "runs", "in the Pareto set %", *paired.AXES)
NOTE = (
    "In the Pareto set: no other model here is at least as good on all axes and better on one. The share of 2,000 "
    "bootstrap samples in which it is so: runs are drawn again, and each mean is moved by the noise of its runs' own "
    "intervals. utility: accuracy or AUC; fidelity: coverage; privacy: AUC of the strongest attack, less is better."
)


def tables(runs: Sequence[dict]) -> list[Table]:
    """One for each data set, n and eps at which two models or more were tried."""
    found = []
    for where, models in paired.settings(runs).items():
        held = {name: _axes(mine) for name, mine in models.items()}
        held = {name: values for name, values in held.items() if values is not None}
        if len(held) < 2:
            continue
        shares = membership(list(held.values()))
        rows = [
            [
                name,
                str(len(models[name])),
                f"{100 * share:.0f}",
                *(f"{v:.3f}" for v in np.abs(held[name][0].mean(axis=0))),
            ]
            for name, share in sorted(
                zip(held, shares, strict=True), key=lambda pair: (-pair[1], pair[0])
            )
        ]
        found.append(Table(f"Pareto set: {where.words()}", HEADER, rows, []))
    return found


def _axes(runs):
    """(values [R, 3], standard errors [R, 3]) of the runs that have all axes; None of none."""
    values, errors = [], []
    for run in runs:
        metrics = [paired.axis(run, which) for which in paired.AXES]
        if known(*metrics):
            values.append([m["value"] for m in metrics])
            errors.append(
                [0.0 if m["low"] is None else (m["high"] - m["low"]) / 3.92 for m in metrics]
            )
    return (np.array(values), np.array(errors)) if values else None


def membership(models: Sequence[tuple], seed: int = 0) -> np.ndarray:
    """The share of bootstrap samples in which each model is in the Pareto set.

    Args:
      models: (values, standard errors) of each, [runs, axes] both; more is better on every axis.

    A run's own error is that of its test images; what another subset would change shows between runs,
    and of one run alone it does not show.
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
