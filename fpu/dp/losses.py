"""Privacy loss distributions of sampled Gaussian steps: an upper bound on delta(eps) of many of them.

The loss of an outcome is L = log(P / Q), of the density with a unit over that without it, or the other way round.
Losses of steps add up, and delta(eps) = E_P[(1 - e^(eps - L))^+] (arXiv:2106.02848). One step at rate q with noise
sigma has, up to the order, P = (1 - q) N(0, sigma^2) + q N(1, sigma^2) and Q = N(0, sigma^2).

How every rounding is kept on the safe side:
  * A loss between two points of the grid is split over both, so that its masses under P and under Q are kept. Any
    such spreading can only raise delta: "connect the dots" (arXiv:2207.04380).
  * Sums are convolutions by FFT. A rounding of 1e-16 of the largest mass would drown a delta of 1e-12, so the masses
    are tilted first, p_j -> p_j e^(t x_j) / M(t), to have their bulk near the eps in question (as in arXiv:2106.02848's
    successors and in large deviations): what is wrong then is a part of delta, not of 1. `_composed` bounds it.
  * What a circular convolution wraps round is added to the window, never taken from it. What should lie above the
    window is bounded by Chernoff: P(sum > top) <= E[e^(t sum)] e^(-t top).

**Truncation.** Where at most `capacity` of a sample are kept, let E be the event that `capacity` others or more are
drawn, of probability tau = P(Bin(n - 1, q) >= capacity), with the unit and without it alike. Outside E nothing is
truncated. Within it the unit is kept with probability at most q, and then takes the place of another, which moves the
sum by two clip norms. So, telling E as well, a step is the mixture (1 - tau) L(q, sigma) + tau L(q, sigma / 2). That
grows with tau, so it holds for smaller data sets too, whose tau is smaller. (The unit is kept with probability q
capacity / (capacity + 1) in E, but a mixture with that rate does not grow with tau.) When a unit is zeroed out instead
of removed, this is proved where E is paid for out of delta (accounting._hidden), as it is at the capacity of
plan.capacity; where truncation is common it was only checked numerically.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from fpu.dp._masses import UNIT, Masses, Steps, one_step, widest

MOST_POINTS = 2**18  # of a grid: bounds memory (some 50 MB) and time (about a second)
LEAST_DELTA = 1e-280  # below it masses underflow
LEAST_NOISE = 1e-3  # below it such a grid would be too coarse
_REACH = 12.0  # standard deviations of the sum of losses, on both sides, that the window holds
_FINE = 3e-5  # by which part the grid may raise the variance of a loss


class _Sum(NamedTuple):
    """The composition in one order of P and Q, tilted by t: mass_j e^(log_scale - t x_j), wrong by `error` in l2."""

    tilt: float
    log_scale: float
    masses: np.ndarray
    error: float


def curve(parts: Sequence[Steps], delta: float) -> Callable[[float], float]:
    """eps >= 0 -> an upper bound on delta(eps) of all parts together, sharpest where it is `delta`.

    Masses below 1e-6 delta are counted as infinite losses, so a much smaller delta needs a curve of its own.

    Raises OverflowError where a grid cannot hold the losses.

    **Guarantees.** Adding or removing one unit, for adaptively chosen steps. All roundings of the grid, and those
    of float64 under the usual model of an FFT (each output wrong by at most 8 u log2 N times the l1 norm of
    the input, u = 2^-53), are on the safe side.
    """
    if delta < LEAST_DELTA or any(part.noise < LEAST_NOISE for part in parts):
        raise OverflowError("out of the range of these distributions")
    total = sum(part.count for part in parts)
    cut = 1e-6 * delta / total
    longest = widest(parts, cut)
    if not longest / 2**14 < 1:
        raise OverflowError(f"losses of up to {longest:g} do not fit a grid")
    low = high = spacing = math.inf
    orders, tilts, wanted = [], [], longest / 2**14
    for _ in range(8):  # until the grid suits the distribution that it shows
        spacing = wanted
        orders = [
            [one_step(part, spacing, cut, removed) for part in parts] for removed in (True, False)
        ]
        tilts = [_tilt(parts, steps, spacing, delta) for steps in orders]
        low, high, variance = _window(parts, orders, spacing, tilts)
        finest = max(high - low, longest) / MOST_POINTS
        wanted = max(math.sqrt(6 * _FINE * variance / total), finest)
        if 0.5 * wanted <= spacing <= 1.2 * wanted:
            break
    size = 2 ** math.ceil(math.log2((high - low) / spacing))
    bottom = math.floor(low / spacing)
    # Raised by what the rounding of outcomes may have taken from each step's loss.
    losses = (bottom + np.arange(size)) * spacing + 8 * UNIT * total * (1 + longest)
    infinite = 2 * cut * total * (1 + 1e-9)
    bounds = []
    for steps, tilt in zip(orders, tilts, strict=True):
        log_beyond = _log_moment(parts, steps, spacing, tilt) - tilt * losses[-1]
        plain, tilted = (_composed(parts, steps, spacing, t, size, bottom) for t in (0.0, tilt))
        bounds.append((plain, tilted, infinite + math.exp(min(log_beyond, 0.0))))

    def delta_at(eps: float) -> float:
        index = int(np.searchsorted(losses, eps, side="right"))
        beyond = losses[index:] - eps
        gains = -np.expm1(-beyond)
        worst = 0.0
        for plain, tilted, rest in bounds:
            bound, error = _above(tilted, gains, beyond, index, eps)
            untilted = _above(plain, gains, beyond, index, eps)[0]
            if index == 0:  # what wraps round from below would be tilted away
                bound = untilted
            elif error > 1e-6 * bound:
                bound = min(bound, untilted)
            worst = max(worst, bound + rest)
        return worst

    return delta_at


def _above(one: _Sum, gains, beyond, index: int, eps: float) -> tuple[float, float]:
    """(sum_j (1 - e^(eps - x_j)) p_j over x_j > eps, rounded up, and what of it is error)."""
    weights = gains * np.exp(np.maximum(-one.tilt * beyond, -700.0))  # no subnormal numbers: slow
    error = math.sqrt(weights @ weights) * one.error
    value = weights @ np.maximum(one.masses[index:], 0.0) + error
    if value <= 0:
        return 0.0, 0.0
    bound = math.exp(min(one.log_scale - one.tilt * eps + math.log(value) + 1e-9, 0.0))
    return bound, bound * error / value


def _tilted(step: Masses, spacing: float, tilt: float):
    """(masses tilted to a sum of 1, losses, log M(t))."""
    losses = spacing * (step.first + np.arange(len(step.masses)))
    with np.errstate(divide="ignore"):
        logs = np.log(step.masses) + tilt * losses
    largest = float(logs.max())
    log_moment = largest + math.log(np.exp(logs - largest).sum())
    return np.exp(logs - log_moment), losses, log_moment


def _log_moment(parts, steps, spacing: float, tilt: float) -> float:
    return sum(p.count * _tilted(s, spacing, tilt)[2] for p, s in zip(parts, steps, strict=True))


def _tilt(parts, steps, spacing: float, delta: float) -> float:
    """t > 0 with the smallest (sum_i c_i log M_i(t) - log delta) / t, Chernoff's bound on the loss at `delta`."""
    thin = [_thinned(step, spacing) for step in steps]

    def bound(log_t: float) -> float:
        t = math.exp(log_t)
        moments = (special.logsumexp(t * losses, b=masses) for masses, losses in thin)
        return (sum(p.count * m for p, m in zip(parts, moments, strict=True)) - math.log(delta)) / t

    best: Any = optimize.minimize_scalar(bound, bounds=(-12.0, 30.0), method="bounded")
    return math.exp(best.x)


def _thinned(step: Masses, spacing: float):
    """(masses, losses) with neighbours merged into at most 4,096."""
    starts = np.arange(0, len(step.masses), -(-len(step.masses) // 4096))
    masses = np.add.reduceat(step.masses, starts)
    moments = np.add.reduceat(step.masses * np.arange(len(step.masses)), starts)
    return masses, spacing * (step.first + moments / np.maximum(masses, 1e-320))


def _window(parts, orders, spacing: float, tilts) -> tuple[float, float, float]:
    """(lowest and highest sum of losses to hold, the smallest variance of a sum), over both orders, tilted or not."""
    lows, highs, variances = [], [], []
    for steps, tilt in zip(orders, tilts, strict=True):
        for t in (0.0, tilt):
            mean = variance = 0.0
            for part, step in zip(parts, steps, strict=True):
                masses, losses, _ = _tilted(step, spacing, t)
                one = masses @ losses
                mean += part.count * one
                variance += part.count * (masses @ np.square(losses - one))
            deviation = _REACH * math.sqrt(variance)
            lows.append(mean - deviation)
            highs.append(mean + deviation)
            variances.append(variance)
    return min(lows), max(highs), min(variances)


def _composed(parts, steps, spacing: float, tilt: float, size: int, bottom: int) -> _Sum:
    """All steps of all parts, on the grid from `bottom` on, as a circular convolution of `size`.

    With z_i the transform of one step's tilted masses, wrong by at most g = 8 u log2 N, and c_i its count, the
    transform of the sum is wrong by at most

        prod_i (|z_i| + g)^c_i sum_i c_i (g / (|z_i| + g) + 16 u),

    the last from taking powers. By Parseval the l2 norm of what that does to the masses is its root mean square.
    """
    g = 8 * UNIT * math.log2(size)
    log_scale, start, wrong = 0.0, 0, 0.0
    transform, log_bound = np.ones(size // 2 + 1, complex), np.zeros(size // 2 + 1)
    for part, step in zip(parts, steps, strict=True):
        masses, _, log_moment = _tilted(step, spacing, tilt)
        folded = np.bincount(np.arange(len(masses)) % size, masses, minlength=size)
        one = np.fft.rfft(folded)
        transform = transform * one**part.count
        larger = np.abs(one) + g
        log_bound += part.count * np.log(larger)
        wrong = wrong + part.count * (g / larger + 16 * UNIT)
        log_scale += part.count * (log_moment + 2e-13)  # and the rounding of tilted masses
        start += part.count * step.first
    bound = np.exp(log_bound)
    error = math.sqrt(2 * np.mean(np.square(bound * np.minimum(wrong, 2.0))))
    error += g * math.sqrt(2 * np.mean(np.square(bound)))
    masses = np.roll(np.fft.irfft(transform, size), (start - bottom) % size)
    return _Sum(tilt, log_scale, masses, error)
