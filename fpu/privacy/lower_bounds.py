"""Lower bounds on eps at delta, at confidence 1 - alpha, from what an attack got right.

Not used: jax_privacy 2.0.0's `epsilon_from_gdp`, which takes an upper bound on both errors for a lower one
(it gives eps >= 3 for scores of pure noise at delta 1e-5), and its Bonferroni correction, which counts the
corners of the observed ROC curve instead of the thresholds that were tried.
"""

import functools
import math

import numpy as np
from scipy import optimize, special, stats


def _guessed(found, n, false, m):
    """jax_privacy's auditor of an attack that guesses 'in' for `found` of n members and `false` of m others."""
    from jax_privacy import auditing  # takes seconds to import

    scores = [(np.arange(size) < count).astype(float) for count, size in ((found, n), (false, m))]
    return auditing.CanaryScoreAuditor(*scores), auditing.Explicit(0.5)


def clopper_pearson(found, n, false, m, delta, alpha):
    auditor, threshold = _guessed(found, n, false, m)
    return float(auditor.epsilon_clopper_pearson(alpha, delta, threshold_strategy=threshold))


def gaussian(auc, n, m, delta, alpha):
    """eps at delta of the largest mu that an observed area under the ROC curve refutes.

    A score test. With h = mu / sqrt 2, the area of two normals a distance mu apart is A = Phi(h), and the variance
    of its estimate (Mann-Whitney) from n and m scores is

        ( A (1 - A) + (n + m - 2) (A - 2 T(h, 1 / sqrt 3) - A^2) ) / (n m),   T by D. B. Owen.

    The mu where A + z sd(A) equals the observed area is the bound. The area is moved towards 1/2 by half a run, so
    that the interval has a width at perfect separation too, where the normal approximation has none.
    """
    least = min(n, m)
    auc = (least * auc + 0.5) / (least + 1) if auc > 0.5 else 0.5
    z = stats.norm.isf(alpha)

    def gap(mu):
        h = mu / math.sqrt(2)
        mean = special.ndtr(h)
        pairs = mean - 2 * special.owens_t(h, 1 / math.sqrt(3)) - mean**2
        return mean + z * math.sqrt((mean * (1 - mean) + (n + m - 2) * pairs) / (n * m)) - auc

    if gap(0.0) >= 0:
        return 0.0
    # A float, unless full_output is asked for.
    mu = float(optimize.brentq(gap, 0.0, math.sqrt(2) * special.ndtri(auc)))  # pyright: ignore[reportArgumentType]
    from dp_accounting import get_epsilon_gaussian  # takes a second to import

    with np.errstate(divide="ignore"):  # it takes a logarithm of 0 on the way
        return get_epsilon_gaussian(1 / mu, delta)


@functools.cache  # audits ask for the same ones again and again, at up to 0.1 s each
def _one_run(method, right, guesses, m, delta, alpha):
    """By a method of jax_privacy's auditor.

    It depends on the right guesses, all guesses and the number of canaries alone, not on how many canaries were in:
    the auditor is told of right + 1.
    """
    auditor, threshold = _guessed(right, right + 1, guesses - right, m - right - 1)
    return float(getattr(auditor, method)(alpha, delta, threshold_strategy=threshold))


ONE_RUN = {
    "one_run": functools.partial(_one_run, "epsilon_one_run"),
    "one_run_gaussian": functools.partial(_one_run, "epsilon_one_run_fdp"),
}
