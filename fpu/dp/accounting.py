"""(eps, delta) of a plan, and the noise that a wanted eps needs.

A plan, here, is anything with `delta`, `private`, `accounted()` and `beyond()`, such as plan.Plan. `accounted()` gives
what it runs as losses.Steps: noised sums of Poisson samples, a release being one at rate 1. `beyond()` is what the ends
of its noise cost of delta (tails.py); a plan that cannot pay it is not private.
"""

import collections
import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging
from scipy import optimize

from fpu.dp import gdp, losses
from fpu.dp.losses import Steps
from fpu.dp.rounding import rounded_down, rounded_up

LEAST_NOISE, MOST_NOISE = 1e-2, 1e6  # among which a noise multiplier is sought
_NEGLIGIBLE = 1e-2  # share of delta up to which truncation is paid for out of delta


def epsilon(plan) -> tuple[float, str]:
    """eps of a plan at its delta, and the accountant that vouches for it; (inf, "none") without noise.

    **Guarantees.** As `spent`.
    """
    if not plan.private:
        return math.inf, "none"
    return spent(plan.accounted(), left(plan))


def left(plan) -> float:
    """The delta that is left of a plan's for its steps, once the ends of its noise are paid for; rounded down."""
    cost = plan.beyond()
    return plan.delta - cost if plan.delta - cost < plan.delta else plan.delta * (1 - 2.0**-52)


def spent(steps: Sequence[Steps], delta: float) -> tuple[float, str]:
    """eps at delta of all these steps together, and the accountant:

    "sampling": no unit is drawn at all with probability 1 - delta, so eps is 0;
    "gaussian": nothing is sampled, so all is one Gaussian release; closed form, exact (gdp.py);
    "pld": privacy loss distributions (losses.py);
    "rdp": Renyi DP, by dp-accounting, where its bound is the smaller one.

    **Guarantees.** An upper bound when one unit is added, removed or zeroed out, and steps may be chosen by what
    earlier ones gave. Never below the exact value: every rounding goes up.
    """
    return _spent(_merged(steps), delta)


@functools.lru_cache(maxsize=1024)
def _spent(steps: tuple[Steps, ...], delta: float) -> tuple[float, str]:
    if _ever_drawn(steps) <= delta:
        return 0.0, "sampling"
    if all(part.rate == 1 for part in steps):
        return gdp.epsilon(_mu(steps), delta), "gaussian"
    renyi = _renyi(steps, delta)
    eps = _crossing(_curve(steps, delta), delta, renyi)
    return (eps, "pld") if eps < renyi else (renyi, "rdp")


def curve(plan) -> Callable[[float], float]:
    """eps >= 0 -> delta(eps) of a private plan: an upper bound, sharpest where it is the plan's delta."""
    cost = plan.delta - left(plan) if plan.private else 0.0
    whole = _curve(_merged(plan.accounted()), plan.delta - cost)
    return lambda eps: whole(eps) + cost


def _curve(steps: tuple[Steps, ...], delta: float) -> Callable[[float], float]:
    if all(part.rate == 1 for part in steps):
        return functools.partial(gdp.delta, _mu(steps))
    ever = _ever_drawn(steps)
    if ever <= delta:
        return lambda eps: ever
    hidden = _hidden(steps)
    with contextlib.suppress(OverflowError):  # losses that no grid holds
        if hidden > _NEGLIGIBLE * delta:
            whole = losses.curve(steps, delta)
            return lambda eps: min(whole(eps), ever)
        untruncated = [part._replace(truncation=0.0) for part in steps]
        delta_at = losses.curve(untruncated, delta - hidden)
        return lambda eps: min(delta_at(eps) + hidden, ever)
    renyi = _renyi(steps, delta)
    return lambda eps: delta if eps >= renyi else ever


def _merged(steps: Sequence[Steps]) -> tuple[Steps, ...]:
    """Equal steps counted together, and all that is not sampled as one release."""
    counts = collections.Counter()
    for part in steps:
        counts[part._replace(count=1)] += part.count
    whole = [part._replace(count=count) for part, count in counts.items() if part.rate == 1]
    sampled = sorted(part._replace(count=count) for part, count in counts.items() if part.rate < 1)
    return (*([Steps(1, 1.0, 1 / _mu(whole))] if whole else []), *sampled)


def _mu(steps: Sequence[Steps]) -> float:
    """Gaussian mechanisms compose to mu-GDP with mu^2 = sum(1 / sigma^2) (arXiv:1905.02383, corollary 3.3)."""
    return math.sqrt(math.fsum(part.count / part.noise**2 for part in steps)) * (1 + 1e-15)


def _ever_drawn(steps: Sequence[Steps]) -> float:
    """The probability that a unit is in any sample: 1 - prod (1 - q_i)^T_i. It bounds every delta(eps)."""
    if any(part.rate == 1 for part in steps):
        return 1.0
    return -math.expm1(sum(part.count * math.log1p(-part.rate) for part in steps)) * (1 + 1e-12)


def _hidden(steps: Sequence[Steps]) -> float:
    """The probability that any sample is truncated. Where none is, nothing differs from untruncated steps."""
    return sum(part.count * part.truncation for part in steps)


def _crossing(delta_at: Callable[[float], float], delta: float, bound: float) -> float:
    """The eps at which a falling curve meets delta, on the side where it is below; inf if that is beyond `bound`."""
    if delta_at(0.0) <= delta:
        return 0.0
    high = min(bound, 1e9)
    if delta_at(high) > delta:
        return math.inf
    eps: Any = optimize.brentq(lambda eps: math.log(delta_at(eps) / delta), 0.0, high)
    while delta_at(eps) > delta:
        eps *= 1 + 1e-9
    return eps * (1 + 1e-9)


def _renyi(steps: Sequence[Steps], delta: float) -> float:
    """eps by Renyi DP of untruncated steps; inf where truncation costs all of delta."""
    left = delta - _hidden(steps)
    if left <= 0:
        return math.inf
    import dp_accounting as dpa  # takes a second to import
    from dp_accounting import rdp

    accountant, level = rdp.RdpAccountant(), logging.get_verbosity()
    # It warns of every Renyi order it leaves out, which only loosens the bound.
    logging.set_verbosity(logging.ERROR)
    try:
        for part in steps:
            step = dpa.PoissonSampledDpEvent(part.rate, dpa.GaussianDpEvent(part.noise))
            accountant.compose(step, part.count)
        return float(accountant.get_epsilon(left)) * (1 + 1e-9)
    finally:
        logging.set_verbosity(level)


def calibrate(make_plan: Callable[[float], Any], eps: float):
    """The plan of the family `make_plan(noise)` with the least noise whose eps is at most the one asked.

    Args:
      make_plan: noise multiplier to plan, eps decreasing in it.
      eps: wanted eps > 0; inf gives make_plan(0).

    Raises:
      ValueError: eps is not positive, or no noise from LEAST_NOISE to MOST_NOISE reaches it, or only noise
        that is too little for its own tails; says what the nearest eps is that can be reached.

    **Guarantees.** epsilon(result) <= eps, and above 0.995 eps; but make_plan(LEAST_NOISE) where its eps is 0.
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps:g}")
    if math.isinf(eps):
        return make_plan(0.0)

    @functools.cache
    def gap(log_noise: float) -> float:
        """log(delta(eps) / delta), falling."""
        plan = make_plan(math.exp(log_noise))
        return math.log(max(curve(plan)(eps) / plan.delta, 1e-300))

    least, most = _least(make_plan), math.log(MOST_NOISE)
    low = high = min(max(_guess(make_plan, eps), least), most)
    while gap(high) > 0:
        if high == most:
            raise _unreachable(make_plan, eps, MOST_NOISE)
        low, high = high, min(high + 0.1, most) if low == high else min(2 * high - low, most)
    while gap(low) <= 0:
        if low == least:
            if epsilon(make_plan(math.exp(least)))[0] == 0:
                return make_plan(math.exp(least))
            raise _unreachable(make_plan, eps, math.exp(least))
        low, high = max(low - 0.1, least) if low == high else max(2 * low - high, least), low
    root: Any = optimize.brentq(gap, low, high, xtol=1e-4)
    while gap(root) > 0:
        root += 1e-4
    return make_plan(math.exp(root))


def _least(make_plan: Callable[[float], Any]) -> float:
    """log of the least noise that is sought: LEAST_NOISE, or the least whose plan is private, if that is more."""
    low, high = math.log(LEAST_NOISE), math.log(MOST_NOISE)
    if make_plan(LEAST_NOISE).private:
        return low
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if make_plan(math.exp(middle)).private else (middle, high)
    return high


def _guess(make_plan: Callable[[float], Any], eps: float) -> float:
    """log noise at which mu-GDP has the eps, mu^2 = sum(T min(q^2 (e^(1 / sigma^2) - 1), 1 / sigma^2)).

    The first is the central limit of many sampled steps (arXiv:1911.11607), the second that of unsampled ones.
    """
    plan = make_plan(1.0)

    def gap(log_noise: float) -> float:
        square = 0.0
        for part in plan.accounted():
            whole = (math.exp(log_noise) * part.noise) ** -2
            square += part.count * min(part.rate**2 * math.expm1(min(whole, 600.0)), whole)
        return gdp.epsilon(math.sqrt(square), plan.delta) - eps

    low, high = math.log(LEAST_NOISE), math.log(MOST_NOISE)
    if gap(low) <= 0 or gap(high) >= 0:
        return low if gap(low) <= 0 else high
    root: Any = optimize.brentq(gap, low, high, xtol=1e-2)
    return root


def _unreachable(make_plan: Callable[[float], Any], eps: float, noise: float) -> ValueError:
    """What to say of an eps beyond the one of the least or the most noise, which is rounded to where it is reached."""
    end = epsilon(plan := make_plan(noise))[0]
    nearest = (
        f"the smallest is eps = {rounded_up(end, 3)}, with noise multiplier {noise:g}: ask for that or more, "
        "a larger delta or fewer steps"
        if eps < end
        else f"the largest is eps = {rounded_down(end, 3)}, with noise multiplier {noise:g}: ask for that or "
        "less, or for eps = inf, if no privacy is meant"
    )
    return ValueError(f"eps = {eps:g} cannot be reached at delta = {plan.delta:g}: {nearest}")
