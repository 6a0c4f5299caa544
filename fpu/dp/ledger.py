"""Several runs on one private set: the (eps, delta) that they spend together.

A unit is exposed to the composition of all runs of which it is a member. `worst` is the largest exposure of any unit.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from fpu.dp import accounting
from fpu.dp.plan import Plan


class Run(NamedTuple):
    """One run: its plan, and whose units it used."""

    plan: Plan
    pool: Hashable  # whose units these are: runs on different pools share nobody
    members: frozenset[int] | None = None  # units of the pool; None: not known, perhaps all


class Exposure(NamedTuple):
    """What the runs that some unit is in spend together."""

    eps: float = 0.0  # of those with a guarantee; 0 if there are none
    accountant: str = "none"
    composed: int = 0  # number of runs with a guarantee
    unbounded: int = 0  # number of runs without one: nothing bounds what these, and so all, reveal


def worst(runs: Sequence[Run], delta: float) -> Exposure:
    """The exposure of the unit with the largest eps, and the most runs without a guarantee that any unit is in.

    **Guarantees.** Of every unit of every pool, all runs together, those with a guarantee, are
    (eps, delta)-DP. Exact (up to the accountant's rounding) where members are known; where they are
    not, a run counts for every unit of its pool, which can only raise eps. Provided that the number of
    runs and their plans were settled before the first: choosing them by what earlier runs made, even
    noised ones, is fully adaptive composition (arXiv:1605.08294), which this does not bound.
    """
    exposures = [_exposure(group, delta) for group in groups(runs)]
    largest = max(exposures, key=lambda exposure: exposure.eps, default=Exposure())
    return largest._replace(unbounded=max((each.unbounded for each in exposures), default=0))


def groups(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """The largest sets of runs that one unit is in: none is a part of another."""
    sets = set()
    for pool in {run.pool for run in runs}:
        here = [(number, run.members) for number, run in enumerate(runs) if run.pool == pool]
        listed = (members for _, members in here if members is not None)
        for unit in {None}.union(*listed):  # None: in no list of members
            sees = (number for number, members in here if members is None or unit in members)
            sets.add(frozenset(sees))
    largest = [one for one in sets if one and not any(one < other for other in sets)]
    return [tuple(runs[number] for number in one) for one in sorted(map(sorted, largest))]


def _exposure(runs: tuple[Run, ...], delta: float) -> Exposure:
    private = [run.plan for run in runs if run.plan.private]
    return Exposure(*composed(private, delta), len(private), len(runs) - len(private))


def composed(plans: Iterable[Plan], delta: float) -> tuple[float, str]:
    """eps of all plans together at delta, and the accountant; (inf, "none") if one is without noise.

    **Guarantees.** An upper bound for one unit that is in all of them (accounting.spent).
    """
    plans = list(plans)
    if not plans:
        return 0.0, "none"
    if not all(plan.private for plan in plans):
        return math.inf, "none"
    left = math.nextafter(delta - math.fsum(plan.beyond(delta) for plan in plans), 0)
    if left <= 0:
        return math.inf, "none"
    return accounting.spent([steps for plan in plans for steps in plan.accounted()], left)
