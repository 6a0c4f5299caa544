"""fpu/dp/ledger.py: composition over runs, and who is in how many of them."""

import math
import time

import dp_accounting as dpa
import pytest
from dp_accounting import pld
from hypothesis import given, settings
from hypothesis import strategies as st

from fpu.dp import ledger
from fpu.dp.ledger import Run
from fpu.dp.plan import DPSGD, Plan, Release, longest_move

DELTA = 1e-4
SGD = Plan(DELTA, (DPSGD(500, 0.128, 100, 4.0, 102),))
ONCE = Plan(DELTA, (Release(3.0),))
FREE = Plan(DELTA, ())


def alone(*plans, delta=DELTA):
    return ledger.composed(plans, delta)[0]


def test_it_is_what_dp_accounting_says_of_all_steps():
    plans = [SGD, ONCE, SGD, Plan(1e-2, (Release(6.0), *SGD.stages))]
    direct = pld.PLDAccountant()
    for release in (3.0, 6.0):
        direct.compose(dpa.GaussianDpEvent(release))
    noise = 4.0 / longest_move(102)  # with the rounding of float32 sums
    direct.compose(dpa.TruncatedSubsampledGaussianDpEvent(500, 0.128, 102, noise), 300)
    eps, accountant = ledger.composed(plans, DELTA)
    assert (accountant, eps) == ("pld", pytest.approx(direct.get_epsilon(DELTA), rel=1e-3))
    assert max(alone(SGD), alone(ONCE)) < eps < sum(map(alone, plans))
    assert ledger.composed(plans[::-1], DELTA) == (eps, accountant)


def test_one_run_spends_what_its_plan_says():
    assert alone(SGD) == pytest.approx(SGD.epsilon(), rel=1e-9)
    assert ledger.composed([], DELTA) == (0.0, "none")
    assert ledger.composed([SGD, FREE], DELTA) == (math.inf, "none")


def test_many_runs_take_no_longer_than_few():
    begun = time.process_time()
    plans = [Plan(DELTA, (Release(0.8 + 0.2 * (i % 3)),)) for i in range(300)]
    eps, accountant = ledger.composed([*plans, SGD, SGD], DELTA)
    assert time.process_time() - begun < 20  # a second
    assert accountant == "pld"
    assert alone(*plans) < eps < alone(*plans) + 2 * alone(SGD)
    assert eps > 150


def test_the_exposure_is_that_of_the_unit_most_exposed():
    a = Run(ONCE, "digits", frozenset({1, 2}))
    b = Run(ONCE, "digits", frozenset({2, 3}))
    apart = Run(ONCE, "digits", frozenset({4}))
    two = alone(ONCE, ONCE)
    assert ledger.worst([a, apart], DELTA).eps == pytest.approx(alone(ONCE))
    assert ledger.worst([a, b, apart], DELTA).eps == pytest.approx(two)
    assert ledger.worst([a, apart, Run(ONCE, "digits")], DELTA).eps == pytest.approx(two)
    free = Run(FREE, "digits", frozenset({2}))
    found = ledger.worst([a, b, free], DELTA)
    assert (found.eps, found.composed, found.unbounded) == (pytest.approx(two), 2, 1)
    none = ledger.worst([free], DELTA)
    assert (none.eps, none.composed, none.unbounded) == (0, 0, 1)
    assert ledger.worst([], DELTA) == (0, "none", 0, 0)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.none() | st.frozensets(st.integers(0, 4), min_size=1, max_size=3),
        ),
        max_size=5,
    )
)
def test_groups_are_what_every_unit_sees(drawn):
    runs = [Run(Plan(DELTA, (Release(1.0 + i),)), *run) for i, run in enumerate(drawn)]
    found = [set(group) for group in ledger.groups(runs)]
    for pool in "ab":
        for unit in range(6):  # 5: in no list of members, so only where these are not known
            sees = {r for r in runs if r.pool == pool and (r.members is None or unit in r.members)}
            assert any(sees <= group for group in found) or not sees
    for group in found:
        pools = {run.pool for run in group}
        known = [run.members for run in group if run.members is not None]
        assert len(pools) == 1
        assert not known or frozenset.intersection(*known)
        assert not any(group < other for other in found)


def test_runs_without_a_guarantee_are_told_of_whoever_they_were_made_on():
    """Not only where the largest eps is."""
    bare = Plan(1e-3, ())
    both = ((1.0, 0), (5.0, 1))
    runs = [ledger.Run(Plan(1e-3, (Release(s),)), "pool", frozenset({unit})) for s, unit in both]
    found = ledger.worst([*runs, ledger.Run(bare, "pool", frozenset({1}))], 1e-3)
    assert found.eps == ledger.worst(runs[:1], 1e-3).eps
    assert (found.composed, found.unbounded) == (1, 1)
