"""Whether anything at all can be learned at a budget: from n, K and the noise alone, before any training."""

import math

from fpu.dp.plan import DPSGD, Plan

_HALF = 0.5


def hopeless(plan: Plan, n: int, n_classes: int) -> str | None:
    """One line where the members of a class, all together, hardly change what comes out; None where they may.

    Stages are about mu-GDP with mu^2 = sum of 1 / sigma^2 (releases) and q^2 T (e^(1 / sigma^2) - 1) (DP-SGD;
    arXiv:1911.11607, in the limit of many steps). Removing all m members of a class is then m mu-GDP
    (arXiv:1905.02383, theorem 2.14), so no yes-or-no question about the outcome changes its probability by more than
    2 Phi(m mu / 2) - 1. Below one half, a generator that never saw the class would often look the same.
    n counts privacy units; n / n_classes are those of a class of average size. All of it is public.
    """
    if not plan.private:
        return None
    squares = 0.0
    for stage in plan.stages:
        one = min(700.0, stage.noise_multiplier**-2)  # e^700 is near the largest float
        if isinstance(stage, DPSGD):
            squares += stage.sampling_rate**2 * stage.steps * math.expm1(one)
        else:
            squares += one
    m = n / n_classes
    most = math.erf(m * math.sqrt(squares) / 2 / math.sqrt(2))
    if most >= _HALF:
        return None
    return (
        f"nothing can be learned at this budget: all {m:,.0f} members of a class together change the probability of "
        f"no outcome by more than {100 * most:.2g} percentage points, so what is drawn will be noise; give a larger "
        "--eps, more members, or leave --delta out"
    )
