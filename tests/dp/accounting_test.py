"""fpu/dp/accounting.py, gdp.py and losses.py against closed forms, integrals and dp-accounting."""

import itertools
import math
import re

import dp_accounting as dpa
import mpmath
import numpy as np
import pytest
from dp_accounting import pld, rdp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fpu.dp import accounting, gdp, losses
from fpu.dp.losses import Steps
from fpu.dp.plan import DPSGD, Plan, Release, capacity, longest_move

DELTA = 1e-3


def sgd(n=100, q=0.5, steps=200, delta=DELTA, slots=None):
    """noise multiplier -> plan."""
    slots = slots or capacity(n, q, steps, delta)
    return lambda noise: Plan(delta, (DPSGD(n, q, steps, noise, slots),))


def released(noise):
    return Plan(DELTA, (Release(noise),))


def exact_delta(mu, eps):
    """Of mu-GDP, with 50 digits (arXiv:1805.06530, theorem 8)."""
    with mpmath.workdps(50):
        mu, eps = mpmath.mpf(mu), mpmath.mpf(eps)
        return mpmath.ncdf(mu / 2 - eps / mu) - mpmath.exp(eps) * mpmath.ncdf(-mu / 2 - eps / mu)


# The closed form: issues of other accountants at tiny deltas.


@pytest.mark.parametrize(
    ("steps", "delta", "known"),
    [
        (Steps(1, 1.0, 5.0), 1e-16, 1.573),
        (Steps(20_000, 1.0, 60.0), 1e-9, 16.4189),
        (Steps(20_000, 1.0, 60.0), 1e-11, 18.112),
        (Steps(20_000, 1.0, 60.0), 1e-14, 20.366),
    ],
)
def test_steps_in_which_nothing_is_sampled_are_the_closed_form_at_any_delta(steps, delta, known):
    eps, accountant = accounting.spent([steps], delta)
    assert (accountant, eps) == ("gaussian", pytest.approx(known, abs=6e-4))


@settings(max_examples=100)
@given(log_mu=st.floats(-6, 3), log_delta=st.floats(-200, -0.05))
def test_the_closed_form_is_never_below_the_truth_and_hardly_above_it(log_mu, log_delta):
    mu, delta = 10**log_mu, 10**log_delta
    eps = gdp.epsilon(mu, delta)
    assert exact_delta(mu, eps) <= delta
    assert eps == 0 or exact_delta(mu, eps * (1 - 1e-6)) > delta
    assert gdp.delta(mu, eps) >= exact_delta(mu, eps)


def test_stages_that_are_gaussian_compose_to_one():
    both = Plan(DELTA, (Release(2.0), DPSGD(10, 1.0, 4, 6.0, 10)))
    together = (2.0**-2 + 4 * (6.0 / longest_move(10)) ** -2) ** -0.5
    assert both.epsilon() == pytest.approx(released(together).epsilon(), rel=1e-12)


# Sampled steps.


def exact_sampled_delta(q, noise, eps):
    """Of one sampled step, the worse of both orders, with 50 digits."""
    with mpmath.workdps(50):
        q, s, e = mpmath.mpf(q), mpmath.mpf(noise), mpmath.exp(eps)

        def crossing(ratio):  # of densities: mixture over single
            return 0.5 + s * s * mpmath.log((ratio - (1 - q)) / q)

        x = crossing(e)
        removed = (1 - q) * mpmath.ncdf(-x / s) + q * mpmath.ncdf((1 - x) / s)
        removed -= e * mpmath.ncdf(-x / s)
        added = mpmath.mpf(0)
        if 1 / e > 1 - q:
            x = crossing(1 / e)
            mixture = (1 - q) * mpmath.ncdf(x / s) + q * mpmath.ncdf((x - 1) / s)
            added = mpmath.ncdf(x / s) - e * mixture
        return max(removed, added)


@pytest.mark.parametrize(
    ("q", "noise", "delta"),
    [
        (0.2, 1.1, 1e-3),
        (0.064, 1.94, 1.5e-19),
        (0.0011, 4.9, 4.7e-16),
        (0.42, 0.19, 2.8e-18),
        (0.0045, 8.6, 7e-13),
        (0.6, 5.3, 0.007),
        (0.02, 0.02, 1e-6),
    ],
)
def test_one_sampled_step_is_the_integral_of_its_densities_at_any_delta(q, noise, delta):
    eps, accountant = accounting.spent([Steps(1, q, noise)], delta)
    assert accountant == "pld"
    assert 0.999 * delta <= exact_sampled_delta(q, noise, eps) <= delta


@pytest.mark.parametrize(
    ("noise", "steps", "delta"), [(60.0, 20_000, 1e-14), (3.0, 7, 1e-5), (0.1, 3, 1e-9)]
)
def test_losses_of_unsampled_steps_compose_to_the_closed_form(noise, steps, delta):
    """The route of sampled steps, where the truth is known."""
    exact = gdp.epsilon(math.sqrt(steps) / noise, delta)
    delta_at = losses.curve([Steps(steps, 1.0, noise)], delta)
    assert exact_delta(math.sqrt(steps) / noise, exact) <= delta_at(exact) <= 1.002 * delta
    assert exact <= accounting._crossing(delta_at, delta, math.inf) <= exact * (1 + 1e-4)


def test_two_sampled_steps_are_the_integral_over_two_outcomes():
    q, noise, eps = 0.3, 0.9, 1.5
    x = np.linspace(-9, 10, 2001)
    without = stats.norm.pdf(x, 0, noise)
    with_it = (1 - q) * without + q * stats.norm.pdf(x, 1, noise)
    area = (x[1] - x[0]) ** 2
    both = (with_it, without), (without, with_it)
    over = [np.maximum(np.outer(p, p) - math.exp(eps) * np.outer(o, o), 0).sum() for p, o in both]
    truth = max(over) * area
    assert losses.curve([Steps(2, q, noise)], truth)(eps) == pytest.approx(truth, rel=2e-4)


# delta, eps with capacity for everybody. dp-accounting's PLD says 3.9596 and 7.99 at the smaller deltas: 1e-12 of
# mass is lost to its FFT, or becomes an infinite loss.
TINY_DELTAS = [(1e-5, 2.3451), (1e-11, 3.9610), (1e-13, 4.4166)]


@pytest.mark.parametrize(("delta", "known"), TINY_DELTAS)
def test_truncation_at_the_capacity_of_a_plan_costs_next_to_nothing(delta, known):
    plan = sgd(60_000, 256 / 60_000, 10_000, delta)(1.0)
    assert plan.sgd().capacity < 450
    eps, _ = accounting.epsilon(plan)
    assert known - 1e-4 <= eps <= known * (1 + 5e-3)  # with the rounding of float32 sums


def test_truncation_is_paid_for():
    """Two units in one slot: adding the second can push the first out, which moves the sum by two."""
    noise, delta = 1.3, 0.01
    eps, _ = accounting.epsilon(sgd(n=2, q=0.5, steps=1, delta=delta, slots=1)(noise))
    x = np.linspace(-40, 40, 100_001)

    def density(minus, zero, plus):
        parts = ((minus, -1), (zero, 0), (plus, 1))
        return sum(weight * stats.norm.pdf(x, at, noise) for weight, at in parts)

    p, q = density(0.375, 0.25, 0.375), density(0.5, 0.5, 0.0)
    over = [np.maximum(a - math.exp(eps) * b, 0).sum() for a, b in ((p, q), (q, p))]
    assert max(over) * (x[1] - x[0]) <= delta
    assert eps > accounting.epsilon(sgd(n=2, q=0.5, steps=1, delta=delta, slots=2)(noise))[0]


def test_a_tight_capacity_costs_what_dp_accounting_says():
    plan = sgd(n=500, q=0.128, steps=100, delta=1e-4, slots=90)(4.0)
    step = dpa.TruncatedSubsampledGaussianDpEvent(500, 0.128, 90, 4.0)
    theirs = pld.PLDAccountant().compose(step, 100).get_epsilon(1e-4)
    free = sgd(n=500, q=0.128, steps=100, delta=1e-4, slots=500)(4.0)
    assert free.epsilon() * 1.001 < plan.epsilon() <= theirs * (1 + 1e-4)


@pytest.mark.parametrize(
    ("n", "q", "steps", "delta", "slots"),
    [
        (100, 1.0, 10, 1e-3, 100),
        (1, 0.5, 1, 1e-3, 1),
        (500, 0.128, 100, 2e-4, None),
        (60_000, 256 / 60_000, 10_000, 1e-13, None),
        (40, 1e-6, 2000, 0.0025, None),
    ],
)
def test_capacity_follows_steps_and_delta(n, q, steps, delta, slots):
    found = capacity(n, q, steps, delta)
    assert slots is None or found == slots
    assert n * q <= found <= n
    assert steps * stats.binom.sf(found - 1, n - 1, q) <= 1e-3 * delta
    assert found == 1 or steps * stats.binom.sf(found - 2, n - 1, q) > 1e-3 * delta or q == 1


# What the smaller of two bounds, or neither, is for.


def test_where_nobody_is_drawn_with_probability_1_less_delta_eps_is_0():
    """Renyi DP says 59."""
    plan = sgd(40, 1e-6, 2000, 1 / 400)(0.1)
    assert accounting.spent(plan.accounted(), plan.delta) == (0.0, "sampling")
    assert accounting._renyi(plan.accounted(), plan.delta) > 50
    assert accounting.calibrate(sgd(40, 1e-6, 2000, 1 / 400), 5.0).epsilon() == 0


def test_what_no_grid_holds_is_left_to_renyi():
    eps, accountant = accounting.spent([Steps(10**6, 0.5, 0.01)], 1e-3)
    assert (math.isfinite(eps), accountant) == (True, "rdp")
    eps, accountant = accounting.spent([losses.Steps(10, 0.1, 1e-4)], 1e-5)
    assert accountant == "rdp"
    assert 1e8 < eps < math.inf
    assert accounting._curve((losses.Steps(10, 0.1, 1e-4),), 1e-5)(eps) == 1e-5
    # The ends of such noise cannot be paid for: a plan with it claims nothing.
    assert accounting.epsilon(sgd(100, 0.1, 10, 1e-5)(1e-4))[0] == math.inf


# q, sigma, steps, eps at delta = 1e-5, as published. The first is in Abadi et al. 2016 (arXiv:1607.00133),
# section 3.1; the others in tutorials/README.md of TensorFlow Privacy (MNIST, n = 60,000, batch 256; 15, 60
# and 45 epochs). All of them convert moments by eps = rdp + log(1 / delta) / (order - 1).
PUBLISHED = [
    (0.01, 4.0, 10_000, 1.26),
    (256 / 60_000, 1.3, 15 * 60_000 // 256, 1.19),
    (256 / 60_000, 1.1, 60 * 60_000 // 256, 3.01),
    (256 / 60_000, 0.7, 45 * 60_000 // 256, 7.10),
]


@pytest.mark.parametrize(("q", "noise", "steps", "published"), PUBLISHED)
def test_published_values_come_out_by_their_formula_and_bound_ours(q, noise, steps, published):
    orders = np.concatenate([1 + np.arange(1, 100) / 10, np.arange(12, 64)])
    event = dpa.PoissonSampledDpEvent(q, dpa.GaussianDpEvent(noise))
    accountant = rdp.RdpAccountant(orders).compose(event, steps)
    # the moments alone: what get_epsilon makes of them has become tighter since
    moments = np.asarray([accountant._rdp[list(accountant._orders).index(x)] for x in orders])
    assert np.min(moments + np.log(1e5) / (orders - 1)) == pytest.approx(published, abs=6e-3)
    steps = (Steps(steps, q, noise),)
    eps, name = accounting.spent(steps, 1e-5)
    assert name == "pld"
    assert 0.7 * published < eps < accounting._renyi(steps, 1e-5) < published


# Calibration.


@pytest.mark.parametrize(
    ("family", "eps"),
    [
        (released, 1e-4),
        (released, 5.0),
        (sgd(), 1.0),
        (sgd(q=1.0), 10.0),
        (sgd(500, 0.01, 5, 2e-4), 30.0),
    ],
)
def test_calibration_ends_just_below_the_eps_asked(family, eps):
    assert 0.995 * eps <= accounting.epsilon(accounting.calibrate(family, eps))[0] <= eps


def test_no_noise_is_no_privacy():
    assert accounting.epsilon(released(0.0)) == (math.inf, "none")
    assert accounting.epsilon(Plan(DELTA, ())) == (math.inf, "none")
    assert accounting.calibrate(released, math.inf) == released(0.0)


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan")])
def test_an_eps_that_is_none_is_refused(eps):
    with pytest.raises(ValueError, match="eps must be positive"):
        accounting.calibrate(released, eps)


def test_an_eps_out_of_reach_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setattr(accounting, "MOST_NOISE", 500.0)
    far = sgd(n=10, q=1.0, steps=100, delta=1e-3)
    words = r"1e-09 cannot be reached .* the smallest is eps = 0\.0"
    with pytest.raises(ValueError, match=words) as refusal:
        accounting.calibrate(far, 1e-9)
    nearest = float(re.search(r"smallest is eps = ([\d.]+)", str(refusal.value))[1])
    assert nearest >= far(accounting.MOST_NOISE).epsilon()
    assert accounting.calibrate(far, nearest).sgd().noise_multiplier <= accounting.MOST_NOISE
    words = r"1e\+09 cannot be reached .* the largest is eps = "
    with pytest.raises(ValueError, match=words) as refusal:
        accounting.calibrate(released, 1e9)
    nearest = float(re.search(r"largest is eps = ([\d.e+]+)", str(refusal.value))[1])
    assert nearest <= released(accounting.LEAST_NOISE).epsilon()
    assert accounting.calibrate(released, nearest).private


@pytest.mark.parametrize("family", [released, sgd(q=1.0), sgd()])
def test_a_curve_goes_through_eps_and_delta_and_falls(family):
    plan = family(5.0)
    eps, delta_at = plan.epsilon(), accounting.curve(plan)
    assert delta_at(eps) == pytest.approx(plan.delta, rel=1e-4)
    values = [delta_at(x) for x in np.linspace(0, 2 * eps, 9)]
    assert all(a > b for a, b in itertools.pairwise(values))
    assert values[0] <= 1


@pytest.mark.parametrize(
    ("n", "q", "capacity", "noise", "delta"),
    [(1000, 0.001, 1, 0.1, 8e-4), (2, 0.5, 1, 0.3, 0.3), (20, 0.5, 10, 0.05, 0.47)],
)
def test_a_smaller_data_set_which_truncates_less_is_covered_too(n, q, capacity, noise, delta):
    """A guarantee for at most n units: with few units nothing is truncated at all."""
    plan = Plan(delta, (DPSGD(n, q, 1, noise, capacity),))
    truncated = accounting.spent(plan.accounted(), delta)[0]
    assert math.isfinite(truncated)
    assert truncated >= accounting.spent([Steps(1, q, noise)], delta)[0] > 3


def test_the_closed_form_holds_where_its_argument_cancels():
    """Exact values in 60 digits."""
    assert gdp.log_delta(98674.40680716047, 4871648820.643118) >= -573.7239474478190
    assert gdp.epsilon(83616.51953498117, 1e-300) > 3498958917.823595
