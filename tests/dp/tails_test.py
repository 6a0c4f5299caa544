"""fpu/dp/tails.py: how far draws reach and what their ends cost, by the formula, by counting, and by plans."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from fpu.dp import accounting, noise, tails
from fpu.dp.losses import Steps
from fpu.dp.plan import DPSGD, Plan, Release, poisson_plan

SMALL = settings(max_examples=60)


def words_of(value, monkeypatch):
    """Every random word is `value` from now on."""
    monkeypatch.setattr(jax.random, "bits", lambda key, shape, dtype: jnp.full(shape, value, dtype))


@pytest.mark.parametrize("draw", [noise.normal, noise.normal_on_host])
def test_draws_end_where_the_last_word_says(draw, monkeypatch):
    words = {noise.normal: tails.STEP_WORDS, noise.normal_on_host: tails.RELEASE_WORDS}[draw]
    end = tails.reach(words)
    exact = -stats.norm.ppf(2.0 ** -(32 * words + 1))
    assert exact * (1 - 2e-5) < end < exact
    words_of(0, monkeypatch)
    assert end <= abs(float(draw(jax.random.key(0), 1)[0])) <= exact * (1 + 1e-6)
    words_of(2**32 - 1, monkeypatch)
    assert abs(float(draw(jax.random.key(0), 1)[0])) < 1e-6  # v = 1/2


@pytest.mark.parametrize("draw", [noise.normal, noise.normal_on_host])
@pytest.mark.parametrize("power", [0, 5, 23, 24, 25, 31])
def test_the_tail_has_the_probability_that_the_words_say(draw, power, monkeypatch):
    """Draws whose first word is 2^power: -Phi^-1 of 2^(power - 33), far beyond 2^-23 where power is small."""
    words_of(np.uint32(2**power), monkeypatch)
    found = abs(float(draw(jax.random.key(0), 1)[0]))
    other = 2**power * sum(2.0 ** (-32 * k) for k in range(2, 4))
    wanted = -stats.norm.ppf(math.floor(2**power / 2) * 2.0**-32 + other)
    assert found == pytest.approx(wanted, abs=3e-6)


@SMALL
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 9))
@example([1.0], 9.0)
@example([1.0] * 40, 0.01)
def test_no_direction_leaves_the_box_more_often_than_the_bound(parts, mu):
    """By the exact formula: 1 - prod P(draw + v_i within R | |draw| <= R), however v of length mu is spread."""
    end = tails.reach(tails.STEP_WORDS)
    v = np.array(parts) + 1e-9
    v *= mu / np.linalg.norm(v)
    out = (stats.norm.sf(end - v) - stats.norm.sf(end)) / (1 - 2 * stats.norm.sf(end))
    assert out.sum() <= tails._left(mu, end) * (1 + 1e-9)


def test_impossible_outcomes_are_counted(monkeypatch):
    """Monte Carlo, with draws that end at R = 2.5: of T steps in 3 dimensions some coordinate ends outside."""
    monkeypatch.setattr(tails, "MOST_COORDINATES", 3.0)
    end, mu, steps, runs = 2.5, 0.8, 4, 40_000
    rng = np.random.default_rng(0)
    draws = stats.truncnorm(-end, end).rvs((runs, steps, 3), random_state=rng)
    draws[:, :, 0] += mu
    seen = (np.abs(draws) > end).any((1, 2)).mean()
    bound = steps * tails._left(mu, end)
    assert seen <= bound
    assert seen > 0.4 * bound  # and it is not loose


def test_the_cost_is_that_of_the_formula():
    end = tails.reach(tails.STEP_WORDS)
    part = Steps(1000, 0.2, 0.5)
    cut = 4e-5 * tails.MOST_COORDINATES * stats.norm.sf(end)
    moved = stats.norm.sf(end - 2) + stats.norm.pdf(end) * 2 * tails.MOST_COORDINATES**0.5
    assert tails.beyond(part, 3, 1e-5) == pytest.approx(1000 * (moved + cut), rel=1e-6)
    cut_short = tails.beyond(part._replace(truncation=0.25), 3, 1e-5)
    far = stats.norm.sf(end - 4) + stats.norm.pdf(end) * 4 * tails.MOST_COORDINATES**0.5
    assert cut_short == pytest.approx(1000 * (0.75 * moved + 0.25 * far + cut), rel=1e-6)
    assert tails.beyond(part._replace(noise=0.05), 3, 1e-5) == 1.0


@pytest.mark.parametrize("eps", [0.1, 1.0, 3.0, 10.0, 20.0, 100.0])
def test_plans_that_are_asked_for_lose_less_than_a_thousandth_of_delta(eps):
    """Draws of 23 bits, which end at 5.4, gave 64 times delta at eps 10."""
    delta = 1e-5
    release = accounting.calibrate(lambda sigma: Plan(delta, (Release(sigma),)), eps)
    sigma = {0.1: 60.0}.get(eps, 4.0 / eps + 0.5)
    sgd = poisson_plan(1200, 240, 1000, delta, noise_multiplier=sigma)
    for plan in (release, sgd):
        assert plan.private
        assert 0 < plan.beyond() <= 1e-3 * delta
    sigma = release.stages[0].noise_multiplier
    assert release.beyond() < 1e-3 * stats.norm.sf(5.42 - 1 / sigma)


def test_a_plan_whose_noise_ends_too_soon_claims_nothing():
    for stage in (Release(0.04), DPSGD(100, 0.2, 1000, 0.1, 100)):
        plan = Plan(1e-5, (stage,))
        assert plan.beyond() > 1e-8
        assert not plan.private
        assert plan.epsilon() == math.inf
        assert plan.statement().startswith("No differential privacy")
    with pytest.raises(ValueError, match="the largest is eps"):
        accounting.calibrate(lambda sigma: Plan(1e-5, (Release(sigma),)), 1e4)


def test_delta_pays_for_the_ends():
    plan = Plan(1e-5, (DPSGD(100, 1.0, 1, 0.18, 100),))  # q = 1: closed form
    assert 1e-10 < plan.beyond() < 1e-8
    assert plan.delta - 2 * plan.beyond() < accounting.left(plan) <= plan.delta - plan.beyond()
    assert plan.epsilon() == accounting.spent(plan.accounted(), accounting.left(plan))[0]
    assert plan.epsilon() > accounting.spent(plan.accounted(), plan.delta)[0]
    assert accounting.curve(plan)(plan.epsilon()) <= plan.delta
