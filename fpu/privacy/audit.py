"""Audits: lower bounds on eps, with confidence, from the scores of an attack on trained models.

Two kinds. Two worlds: R runs with a canary and R without it give R scores each. One run: of m
canaries each is a member with probability 1/2, independently, and every canary gets a score. Higher =
more like a member. A bound above the claimed eps refutes the claim. A bound below it proves nothing: the
attack may be weak, or the runs too few. Each bound therefore comes with two others:

  ceiling  the bound that this audit gives when the mechanism is exactly as private as claimed and the
           attacker is optimal (Neyman-Pearson), computed at the counts, or the area under the ROC curve,
           that such an attack has on average. About half of such audits end above it.
  limit    the bound of an attacker who never errs: the highest that this audit can give.

The false positive rate at which an audit looks is decided from the claim and the counts alone, never from the
scores, so neither a held-out half nor a correction for many thresholds is needed. Rates at which an attacker who
never errs would refute the claim are preferred: an audit that cannot fail proves nothing. Among those, the rate
with the highest ceiling is taken.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from fpu import InputError
from fpu.dp import accounting
from fpu.dp.plan import Plan
from fpu.privacy import bounds, lower_bounds

_GRID = 48  # values of eps at which a claim's curve is computed
_LEAST = 10  # runs in each world, or canaries on each side
_RANKS = 20  # counts that a design chooses from


class Claim(NamedTuple):
    """What a mechanism guarantees: (eps, delta), and its whole curve delta(eps)."""

    eps: float
    delta: float
    curve: tuple[tuple[float, float], ...]  # (eps, delta) pairs; empty where nothing is guaranteed

    def tpr(self, fpr: float) -> float:
        """The true positive rate of the optimal attack at a false positive rate."""
        return min((bounds.highest_tpr(fpr, *pair) for pair in self.curve), default=1.0)

    def auc(self) -> float:
        """The area under the optimal attack's ROC curve."""
        fpr = np.concatenate([[0.0], stats.norm.cdf(np.linspace(-5, 5, 201)), [1.0]])
        return float(np.trapezoid([self.tpr(x) for x in fpr], fpr))


def claim(plan: Plan) -> Claim:
    """The claim of a plan: eps as `accounting.epsilon` has it, and the curve behind it."""
    eps, accountant = accounting.epsilon(plan)
    if math.isinf(eps):
        return Claim(eps, plan.delta, ())
    if accountant == "rdp":  # at such an eps, one point of the curve is enough
        return Claim(eps, plan.delta, ((eps, plan.delta),))
    delta_at = accounting.curve(plan)
    grid = 2 * eps * np.linspace(0, 1, _GRID) ** 2  # denser at 0, where the curve bends
    return Claim(eps, plan.delta, tuple((e, float(delta_at(e))) for e in grid.tolist()))


def two_worlds(
    inside: ArrayLike, outside: ArrayLike, claim: Claim, confidence: float = 0.95
) -> dict[str, dict[str, float]]:
    """Lower bounds on eps at claim.delta from runs with a canary and runs without.

    Args:
      inside, outside: scores [R], [R'] of independent runs with and without the canary; inf is allowed.
      claim: what is tested. It decides at which rate to look; the bounds hold whether it is true or not.
      confidence: of each bound alone.

    Returns: {method: {'bound', 'ceiling', 'limit'}}, explained at the top of this file. The methods:
      clopper_pearson: one threshold, exact bounds on its two error rates (arXiv:2101.04535), eps from
        TPR <= e^eps FPR + delta. Holds for any mechanism.
      gaussian: the largest mu whose trade-off curve G_mu (arXiv:1905.02383) is refuted by the area
        under the ROC curve, which G_mu limits to Phi(mu / sqrt 2); then eps at delta of mu-GDP. It uses all
        thresholds, so it needs far fewer runs. It bounds eps at delta only if the mechanism is as private there
        as G_mu: exactly so for full batches, nearly for many sampled steps; for a few sampled steps the bound is
        lower than it could be. The normal approximation of the area is good from R = 100 on.

    Raises InputError for fewer than 10 scores on a side, and for NaN.
    """
    inside, outside = _scores(inside), _scores(outside)
    n, m, alpha = len(inside), len(outside), 1 - confidence
    rank, exact, area = _two_world_design(n, m, claim, alpha)
    found = np.count_nonzero(inside > np.sort(outside)[m - 1 - rank])
    ranks = stats.rankdata(np.concatenate([inside, outside]))[:n]  # ties count half
    auc = (ranks.sum() - n * (n + 1) / 2) / (n * m)
    bound = lower_bounds.clopper_pearson(found, n, rank, m, claim.delta, alpha)
    by_area = lower_bounds.gaussian(auc, n, m, claim.delta, alpha)
    return {"clopper_pearson": {"bound": bound} | exact, "gaussian": {"bound": by_area} | area}


def two_worlds_power(n: int, claim: Claim, faulty: Claim, confidence: float) -> dict[str, float]:
    """{method: bound} that `two_worlds` gives on average where the mechanism is as private as `faulty` only.

    Args:
      n: runs in each world; at least 10.
      claim: what is tested.
      faulty: what is true. The attacker is optimal for it.
      confidence: as for `two_worlds`. Above claim.eps, this fault is one that the audit would have caught.
    """
    alpha = 1 - confidence
    rank, _, _ = _two_world_design(n, n, claim, alpha)

    def exact(found):
        return lower_bounds.clopper_pearson(found, n, rank, n, claim.delta, alpha)

    return {
        "clopper_pearson": _between(exact, n * faulty.tpr((rank + 1) / (n + 1))),
        "gaussian": lower_bounds.gaussian(faulty.auc(), n, n, claim.delta, alpha),
    }


def one_run(
    inside: ArrayLike, outside: ArrayLike, claim: Claim, confidence: float = 0.95
) -> dict[str, dict[str, float]]:
    """Lower bounds on eps at claim.delta from one run with m canaries, each in with probability 1/2.

    Args:
      inside, outside: scores of the canaries that were in and of those that were not.
      claim, confidence: as for `two_worlds`.

    Returns: {method: {'bound', 'ceiling', 'limit'}}. The attacker guesses 'in' for the g highest scores.
      one_run: the share of right guesses against what (eps, delta) allows (arXiv:2305.08846, thm 5.2).
        Holds for any mechanism. Needs m delta well below 1.
      one_run_gaussian: against what mu-GDP allows (arXiv:2410.22235), then eps at delta of mu-GDP; it holds
        where `gaussian` of `two_worlds` does.

    Raises InputError for fewer than 10 scores on a side, and for NaN.
    """
    inside, outside = _scores(inside), _scores(outside)
    n, m, alpha = len(inside), len(inside) + len(outside), 1 - confidence
    member = np.arange(m) < n
    # Of equal scores those outside come first: ties never help the attack.
    order = np.lexsort((member, -np.concatenate([inside, outside])))
    rows = {}
    for method, lower_bound in lower_bounds.ONE_RUN.items():
        guesses, possible = _one_run_design(method, m, claim, alpha)
        right = int(member[order[:guesses]].sum())
        rows[method] = {"bound": lower_bound(right, guesses, m, claim.delta, alpha)} | possible
    return rows


def one_run_power(m: int, claim: Claim, faulty: Claim, confidence: float) -> dict[str, float]:
    """{method: bound} that `one_run` gives on average with m canaries: see `two_worlds_power`."""
    alpha, powers = 1 - confidence, {}
    for method, lower_bound in lower_bounds.ONE_RUN.items():
        guesses, _ = _one_run_design(method, m, claim, alpha)

        def bound(right, guesses=guesses, lower_bound=lower_bound):
            return lower_bound(right, guesses, m, claim.delta, alpha)

        powers[method] = _between(bound, _right_guesses(faulty, m / 2, guesses))
    return powers


def _scores(values):
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < _LEAST or np.isnan(values).any():
        raise InputError(
            f"an audit needs {_LEAST} scores or more of each kind and none that is NaN; these are "
            f"{list(values.shape)} with {np.count_nonzero(np.isnan(values))} NaN"
        )
    return values


def _counts(n):
    """Counts up to n / 2 that a design chooses from: all small ones, fewer and fewer of the large."""
    return np.unique(np.geomspace(1, n // 2, _RANKS).astype(int)).tolist()


def _between(bound, count):
    """A bound at a count that is an average, hence not whole: linear between the whole ones."""
    low = math.floor(count)
    part = count - low
    return bound(low) + (part * (bound(low + 1) - bound(low)) if part > 1e-9 else 0.0)


@functools.lru_cache(maxsize=64)
def _two_world_design(n, m, claim, alpha):
    """(false positives to allow, {'ceiling', 'limit'} of clopper_pearson, the same of gaussian).

    With the threshold at the (f + 1)-th highest of m scores outside, f of them lie above it, and the mean of the
    true false positive rate there, an order statistic, is (f + 1) / (m + 1). An optimal attack on the claimed
    mechanism then finds n TPR((f + 1) / (m + 1)) of n canaries on average.
    """

    def exact(found, false):
        return lower_bounds.clopper_pearson(found, n, false, m, claim.delta, alpha)

    def area(auc):
        return lower_bounds.gaussian(auc, n, m, claim.delta, alpha)

    options = []
    for false in (count - 1 for count in _counts(m)):
        found = n * claim.tpr((false + 1) / (m + 1))
        ceiling = _between(functools.partial(exact, false=false), found)
        options.append((exact(n, false) > claim.eps, ceiling, -false))
    _, ceiling, false = max(options)
    of_area = {"ceiling": area(claim.auc()), "limit": area(1.0)}
    return -false, {"ceiling": ceiling, "limit": exact(n, -false)}, of_area


@functools.lru_cache(maxsize=64)
def _one_run_design(method, m, claim, alpha):
    """(guesses to make, {'ceiling', 'limit'}).

    Of m canaries, m / 2 are in on average. An optimal attack that guesses 'in' for the g highest scores has the
    false positive rate x at which

        m / 2 (TPR(x) + x) = g,

    and g - m / 2 x of its guesses are right on average.
    """

    def bound(right, guesses):
        return lower_bounds.ONE_RUN[method](right, guesses, m, claim.delta, alpha)

    n, options = m / 2, []
    for guesses in _counts(m):
        right = _right_guesses(claim, n, guesses)
        ceiling = _between(functools.partial(bound, guesses=guesses), right)
        limit = bound(guesses, guesses)
        options.append((limit > claim.eps, ceiling, 0.0 if ceiling > 0 else limit, -guesses))
    _, ceiling, _, guesses = max(options)
    return -guesses, {"ceiling": ceiling, "limit": bound(-guesses, -guesses)}


def _right_guesses(claim, n, guesses):
    """How many of an optimal attack's guesses are right on average: see `_one_run_design`."""

    def excess(fpr):
        return n * (claim.tpr(fpr) + fpr) - guesses

    fpr: Any = optimize.brentq(excess, 0.0, 1.0) if excess(0.0) < 0 else 0.0
    return min(guesses, guesses - n * fpr)
