"""fpu/dp/plan.py: impossible plans are refused, and the event is made of the numbers that are run."""

import dataclasses
import math
import re
from unittest import mock

import jax
import jax.numpy as jnp
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fpu import dp, training
from fpu.dp import noise, sampling
from fpu.dp.losses import Steps
from fpu.dp.plan import DPSGD, Plan, Release, capacity, longest_move, poisson_plan, restored, shared
from fpu.dp.rounding import rounded_up

SGD = DPSGD(n=100, sampling_rate=0.2, steps=30, noise_multiplier=1.5, capacity=40)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sampling_rate": 0.0}, "sampling rate"),
        ({"sampling_rate": 1.1}, "sampling rate"),
        ({"sampling_rate": float("nan")}, "sampling rate"),
        ({"n": 0}, "n "),
        ({"steps": 0}, "steps"),
        ({"capacity": 19}, "capacity 19 .* 48 rarely truncates"),
        ({"capacity": 101}, "capacity"),
    ],
)
def test_an_impossible_stage_is_refused_by_name(change, word):
    with pytest.raises(ValueError, match=word):
        dataclasses.replace(SGD, **change)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_delta_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        Plan(delta, (SGD,))


@pytest.mark.parametrize("noise", [-1.0, 1e-160, float("nan"), math.inf])
@pytest.mark.parametrize("stage", [SGD, Release(1.0)], ids=["steps", "release"])
def test_impossible_noise_is_refused(stage, noise):
    words = "noise multiplier must be 0 .no privacy. or at least 1e-09"
    with pytest.raises(ValueError, match=words) as refusal:
        dataclasses.replace(stage, noise_multiplier=noise)
    assert "\n" not in str(refusal.value)


def test_what_is_accounted_of_a_stage():
    whole = dataclasses.replace(SGD, capacity=100)
    assert whole.accounted() == Steps(30, 0.2, 1.5 / longest_move(100))
    assert Release(4.0).accounted() == Steps(1, 1.0, 4.0)
    crowded = stats.binom.sf(39, 99, 0.2)  # 40 others or more
    assert SGD.accounted() == Steps(30, 0.2, 1.5 / longest_move(40), crowded)
    both = Release(4.0), SGD
    assert Plan(1e-3, both).accounted() == tuple(stage.accounted() for stage in both)


def test_a_plan_knows_its_training_and_whether_it_is_private():
    assert Plan(1e-3, (Release(4.0), SGD)).sgd() is SGD
    with pytest.raises(ValueError, match="no DP-SGD"):
        Plan(1e-3, (Release(4.0),)).sgd()
    assert Plan(1e-3, (SGD,)).private
    assert not Plan(1e-3, ()).private
    assert not Plan(1e-3, (Release(0.0), SGD)).private
    assert SGD.denominator == 20


def test_the_statement_says_what_holds_and_what_does_not():
    plan = Plan(1e-3, (Release(4.0), SGD), unit="group of images")
    words = plan.statement()
    for part in (
        f"({rounded_up(plan.epsilon(), 5)}, 0.001)",
        "the contribution of any one listed group of images is there or is absent",
        "how many (n)",
        "add or remove a row of the file is another question",
        "several that are each shaped by those before",
        "noise multiplier 4",
        "30 steps",
        "rate 0.2 of n = 100",
        "at most 40 kept",
        "noise multiplier 1.5",
        "Accountant: pld",
        "Not covered: ",
        "Threefry",
        "floating-point",
    ):
        assert part in words
    assert "seed" not in words
    assert plan.statement(disclosed=True).startswith("The noise seed is disclosed")
    assert "No differential privacy" in Plan(1e-3, ()).statement()


def test_a_plan_comes_back_from_its_stages_as_a_record_holds_them():
    plan = Plan(1e-3, (Release(4.0), SGD))
    assert restored([dataclasses.asdict(stage) for stage in plan.stages], 1e-3) == plan
    with pytest.raises(TypeError):
        restored([{"noise_multiplier": 1.0, "colour": 3}], 1e-3)


def test_a_poisson_plan_is_solved_either_way():
    given = poisson_plan(n=100, batch=20, steps=30, delta=1e-3, noise_multiplier=1.5)
    slots = capacity(100, 0.2, 30, 1e-3)
    assert given == Plan(1e-3, (dataclasses.replace(SGD, capacity=slots),), "example")
    asked = poisson_plan(n=100, batch=100, steps=30, delta=1e-3, eps=2.0)  # rate 1: quick to solve
    assert 0.995 * 2 <= asked.epsilon() <= 2
    assert poisson_plan(n=100, batch=20, steps=30, delta=1e-3, eps=math.inf).epsilon() == math.inf


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": 101}, "at most 100, everybody"),
        ({"batch": 0}, r"\(0, n\]"),
        ({"delta": 0.01}, r"1/\(10 n\) = 0.001 is usual"),
        ({"delta": 0}, "delta"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"n": 0}, "n = 0"),
        ({"eps": 1.0}, "one of them"),
        ({"noise_multiplier": None}, "one of them"),
        ({"noise_multiplier": -1.0}, "not negative"),
        ({"noise_multiplier": None, "eps": 1e9}, "the largest is eps = "),
    ],
)
def test_an_impossible_poisson_plan_is_refused_with_the_nearest(change, words):
    possible = {"n": 100, "batch": 20, "steps": 30, "delta": 1e-3, "noise_multiplier": 1.5}
    with pytest.raises(ValueError, match=words):
        poisson_plan(**(possible | change))


# Plan and sampler cannot disagree: what is run is compared with what is accounted.


@st.composite
def plans(draw):
    n = draw(st.integers(1, 40))
    q = draw(st.floats(0.01, 1.0))
    capacity = draw(st.integers(math.ceil(n * q), n))
    steps, sigma = draw(st.integers(1, 10**4)), draw(st.floats(0.1, 50.0))
    stages = (DPSGD(n, q, steps, sigma, capacity),)
    return Plan(1e-3, draw(st.sampled_from([(), (Release(2.0),)])) + stages)


@settings(max_examples=10)
@given(plan=plans())
def test_what_a_step_runs_is_what_is_accounted(plan):
    accounted, n, slots = plan.accounted()[-1], plan.sgd().n, plan.sgd().capacity
    assert accounted.truncation == (slots < n) * stats.binom.sf(slots - 1, n - 1, accounted.rate)
    sampled, sums = [], []

    def poisson(key, mask, rate, slots):
        sampled.append((*mask.shape, rate, slots))
        return jnp.zeros(slots, jnp.int32), jnp.zeros(slots, bool)

    def own_loop(key, rows):
        """A step of a loop of one's own."""
        gradient = dp.clipped_grad(lambda params, x, key: jnp.sum(params * x), plan, 0.5)
        sums.append(gradient(jnp.ones(2), dp.sample(plan, key, rows)))
        return sums[0].total

    def fpus_own(pool, cell):
        """A step of fpu's training."""
        state = training.initial(tiny.duet(), plan, tiny.RECIPE, cell)
        return training.step(tiny.duet(), plan, tiny.RECIPE, pool, cell, state, jnp.int32(0))

    with mock.patch.object(sampling, "poisson", poisson):  # traced, not compiled
        jax.eval_shape(own_loop, jax.random.key(0), jnp.zeros((n, 2)))
        jax.eval_shape(fpus_own, tiny.pool(n), tiny.first(tiny.cells(jnp.ones((1, n), bool))))
    assert sampled == [(n, accounted.rate, slots)] * 2
    assert sums[0].std == pytest.approx(0.5 * accounted.noise * longest_move(slots))

    silent = noise.ClippedSum(jnp.ones(2), 0.0, jax.random.key(1), plan)
    steps = 0, accounted.count - 1, accounted.count
    first, last, late = (dp.add_noise(plan).update(silent, jnp.int32(step))[0] for step in steps)
    assert 1 / float(first[0]) == pytest.approx(accounted.rate * n, rel=1e-6)
    assert jnp.isfinite(last).all()
    assert jnp.isnan(late).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_release_and_full_batches_share_a_budget_exactly(share):
    """At q = 1 all stages are Gaussian: whatever the share, together they are one of noise nu."""
    stages = shared(3.0, share, DPSGD(50, 1.0, 7, 1.0, 50))
    both = Plan(1e-3, stages)
    alone = Plan(1e-3, shared(3.0, 1, stages[1]))
    assert alone.stages == (Release(3.0),)
    # Not equal: float32 sums are rounded.
    assert alone.epsilon() < both.epsilon() < alone.epsilon() * (1 + 3e-3)
    assert 1 / stages[0].noise_multiplier ** 2 == pytest.approx(share / 9)


def test_no_share_is_dpsgd_alone():
    sgd = DPSGD(50, 0.2, 7, 1.0, 30)
    (stage,) = shared(2.5, 0.0, sgd)
    assert stage == dataclasses.replace(sgd, noise_multiplier=2.5)


@pytest.mark.parametrize(
    ("x", "digits", "printed"),
    [
        (8.3333e-05, 3, "8.34e-05"),
        (1e-05, 3, "1e-05"),
        (1100.8423, 5, "1100.9"),
        (1100.8423, 6, "1100.85"),
        (294.861, 5, "294.87"),
        (0.99999, 3, "1"),
        (0.0, 3, "0"),
        (math.inf, 3, "inf"),
        (2.0, 5, "2"),
    ],
)
def test_printed_numbers_are_rounded_up(x, digits, printed):
    assert rounded_up(x, digits) == printed
    assert float(printed) >= x


@settings(max_examples=200)
@given(x=st.floats(1e-300, 1e300), digits=st.integers(1, 9))
def test_no_digit_that_is_shown_is_too_low(x, digits):
    assert x <= float(rounded_up(x, digits)) <= x * (1 + 10.0 ** (1 - digits)) * (1 + 1e-15)


def test_a_statement_never_names_less_than_is_spent():
    plan = Plan(8.3333e-05, (Release(0.05),))
    eps, delta = re.search(r"\(([0-9.e-]+), ([0-9.e-]+)\)-diff", plan.statement()).groups()
    assert float(eps) >= plan.epsilon()
    assert delta == "8.34e-05"
