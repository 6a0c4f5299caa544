"""The Gaussian mechanism in closed form: (eps, delta) of mu-GDP, rounded to the safe side.

Telling N(mu, 1) from N(0, 1) is the hardest case of one Gaussian release with noise multiplier 1 / mu, and of any
number of adaptively chosen ones whose mu_i satisfy mu^2 = sum(mu_i^2) (arXiv:1905.02383, corollary 3.3). Its exact
curve is (arXiv:1805.06530, theorem 8)

    delta(eps) = Phi(mu / 2 - eps / mu) - e^eps Phi(-mu / 2 - eps / mu).

With t = eps / mu - mu / 2, the normal density phi and the Mills ratio R(t) = Phi(-t) / phi(t), and because
e^eps phi(t + mu) = phi(t), this is phi(t) (R(t) - R(t + mu)): no difference of numbers that underflow.
"""

import math

from scipy import special

_ROUNDING = 2.0**-46  # more than the relative rounding of R, and of the square of t


def log_delta(mu: float, eps: float) -> float:
    """log delta(eps), eps >= 0. **Guarantees.** Never below the exact value; above by parts in 1e11 for mu > 1e-2."""
    t = eps / mu - mu / 2
    if t < -37:  # delta is above 1 - 1e-290, and R(t) overflows
        return 0.0
    # R(t) is rounded up by more than the rounding of both ratios; the difference may cancel, so relative to R(t).
    difference = _mills(t) * (1 + _ROUNDING) - _mills(t + mu)
    log_phi = -t * t / 2 - math.log(2 * math.pi) / 2
    # t itself is wrong by roundings of its two terms, which are larger than it where mu is large.
    cancelled = 2.0**-50 * (1 + abs(t)) * (eps / mu + mu / 2)
    return min(log_phi + math.log(difference) + _ROUNDING * (1 + t * t) + cancelled, 0.0)


def delta(mu: float, eps: float) -> float:
    """delta(eps) of mu-GDP. **Guarantees.** As `log_delta`; 0 only where it underflows."""
    return math.exp(log_delta(mu, eps))


def epsilon(mu: float, delta: float) -> float:
    """The eps >= 0 at which delta(eps) of mu-GDP is `delta`. **Guarantees.** Never below it; 0 where that is enough."""
    wanted = math.log(delta)
    if log_delta(mu, 0.0) <= wanted:
        return 0.0
    # P(loss > eps) <= exp(-(eps - mu^2 / 2)^2 / (2 mu^2)), and delta is below that probability.
    low, high = 0.0, (mu * mu / 2 + mu * math.sqrt(-2 * wanted)) * (1 + _ROUNDING)
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if log_delta(mu, middle) > wanted else (low, middle)
    return high * (1 + 1e-14)


def _mills(t: float) -> float:
    return math.sqrt(math.pi / 2) * float(special.erfcx(t / math.sqrt(2)))
