"""The privacy losses of ONE sampled Gaussian step as masses on a grid, every rounding upwards: see losses.py."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

UNIT = 2.0**-53


class Steps(NamedTuple):
    """`count` equal steps: noised sums of Poisson samples whose terms have an l2 norm of at most 1."""

    count: int
    rate: float  # q; 1 for a release
    noise: float  # sigma > 0
    truncation: float = 0.0  # tau


class Masses(NamedTuple):
    """P-masses on the grid at (first, first + 1, ...) times its spacing."""

    first: int
    masses: np.ndarray


def _loss(x, rate: float, noise: float):
    """log((1 - q) + q e^((2 x - 1) / (2 sigma^2))), increasing in x."""
    exponent = (x - 0.5) / noise**2
    return np.logaddexp(np.log1p(-rate) if rate < 1 else -np.inf, math.log(rate) + exponent)


def _outcome(losses, rate: float, noise: float):
    """The inverse of `_loss`; -inf below its range."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        small = np.log(np.maximum(np.expm1(np.minimum(losses, 1.0)) + rate, 0.0))
        large = losses + np.log1p(-(1 - rate) * np.exp(-np.maximum(losses, 0.5)))
    return 0.5 + noise**2 * (np.where(losses < 0.75, small, large) - math.log(rate))


def _ends(rate: float, noise: float, cut: float) -> tuple[float, float]:
    """Outcomes outside of which both densities have a mass of at most `cut` on either side."""
    reach = float(stats.norm.isf(cut)) * noise
    return -reach, 1 + reach


def widest(parts: Sequence[Steps], cut: float) -> float:
    """The longest range of losses of a step."""
    ranges = [np.ptp(_loss(np.array(_ends(*s, cut)), *s)) for s in _settings(parts)]
    return float(max(ranges))


def _settings(parts: Sequence[Steps]) -> list[tuple[float, float]]:
    """(q, sigma) of all steps, and of those that truncation brings in."""
    halves = [(part.rate, part.noise / 2) for part in parts if part.truncation]
    return [(part.rate, part.noise) for part in parts] + halves


def one_step(part: Steps, spacing: float, cut: float, removed: bool) -> Masses:
    plain = _plain(part.rate, part.noise, spacing, cut, removed)
    if not part.truncation:
        return plain
    other = _plain(part.rate, part.noise / 2, spacing, cut, removed)
    first = min(plain.first, other.first)
    last = max(one.first + len(one.masses) for one in (plain, other))
    masses = np.zeros(last - first)
    for one, weight in ((plain, 1 - part.truncation), (other, part.truncation)):
        start = one.first - first
        masses[start : start + len(one.masses)] += weight * one.masses
    return Masses(first, masses)


def _plain(rate: float, noise: float, spacing: float, cut: float, removed: bool) -> Masses:
    """One step's losses on the grid. `removed`: P is the mixture; else Q is, and losses change their sign."""
    ends = np.array(_ends(rate, noise, cut))
    sign = 1.0 if removed else -1.0
    low, high = sorted(sign * _loss(ends, rate, noise))
    first, last = math.floor(low / spacing), math.ceil(high / spacing)
    losses = spacing * np.arange(first, max(last, first + 1) + 1)
    edges = np.clip(_outcome(sign * losses, rate, noise), *ends)
    if not removed:
        edges = edges[::-1]
    at_0, at_1 = (_between(edges, mean, noise) for mean in (0.0, 1.0))
    with_it = (1 - rate) * at_0 + rate * at_1
    (p, p_error), (q, q_error) = (with_it, at_0) if removed else (at_0[:, ::-1], with_it[:, ::-1])
    # Of mass p under P and q under Q, `stay` goes to the lower end x of [x, x + h] and the rest to the upper one:
    # stay e^-x + (p - stay) e^-(x + h) = q. An error only moves mass upwards.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        scaled = np.exp(np.log(q) + losses[1:])
        error = (
            p_error
            + np.exp(np.log(q_error) + losses[1:])
            + 4 * UNIT * (p + scaled * (1 + np.abs(losses[1:])))
        )
        p = p + p_error
        stay = np.clip((scaled - p - error) / math.expm1(spacing), 0.0, p)
    stay = np.where(np.isfinite(stay), stay, 0.0)  # inf - inf: all of it upwards
    masses = np.zeros(len(losses))
    masses[:-1] += stay
    masses[1:] += p - stay
    return Masses(first, masses)


def _between(edges, mean: float, noise: float):
    """[2, len(edges) - 1]: masses of N(mean, noise^2) between increasing edges, and bounds on their roundings."""
    z = (edges - mean) / noise
    left = z[1:] <= 0
    below, above = special.ndtr(z), special.ndtr(-z)
    mass = np.where(left, np.diff(below), -np.diff(above))
    return np.stack([mass, 4 * UNIT * (2 + z[1:] ** 2) * np.where(left, below[1:], above[:-1])])
