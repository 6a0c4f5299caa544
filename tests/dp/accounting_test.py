"""fpu/dp/accounting.py against closed forms, integrals and dp-accounting itself."""

import math
import re

import dp_accounting as dpa
import numpy as np
import pytest
from dp_accounting import pld, rdp
from scipy import optimize, stats

from fpu.dp import accounting, sampling
from fpu.dp.plan import DPSGD, Plan, Release

DELTA = 1e-3


def sgd(n=100, q=0.5, steps=200, delta=DELTA, capacity=None):
    """noise multiplier -> plan."""
    slots = capacity or sampling.capacity(n, q)
    return lambda noise: Plan(delta, (DPSGD(n, q, steps, noise, slots),))


def released(noise):
    return Plan(DELTA, (Release(noise),))


def gaussian_eps(noise, delta=DELTA):
    """Exact for one Gaussian release (arXiv:1805.06530, eq. 6)."""

    def gap(eps):
        a, b = 1 / (2 * noise), eps * noise
        return stats.norm.cdf(a - b) - math.exp(eps) * stats.norm.cdf(-a - b) - delta

    return optimize.brentq(gap, 0, 500 / noise)


def divergence(p, q, eps, width=40.0):
    """Hockey-stick divergence of two densities on the line, the worse of both orders."""
    x = np.linspace(-width, width, 100_001)
    p, q = p(x), q(x)
    step = x[1] - x[0]
    return max((np.maximum(a - math.exp(eps) * b, 0) * step).sum() for a, b in ((p, q), (q, p)))


@pytest.mark.parametrize("noise", [0.8, 3.0])
def test_one_release_is_the_analytic_gaussian_mechanism(noise):
    eps, accountant = accounting.epsilon(released(noise))
    assert accountant == "pld"
    assert gaussian_eps(noise) <= eps <= gaussian_eps(noise) * 1.001 + 1e-4


def test_steps_on_everybody_compose_to_one_release_with_less_noise():
    eps, _ = accounting.epsilon(sgd(q=1.0, steps=100)(30.0))
    exact = gaussian_eps(3.0)
    assert exact <= eps <= exact * 1.005


def test_one_poisson_sampled_step_is_the_integral_of_its_densities():
    q, noise = 0.2, 1.1
    eps, _ = accounting.epsilon(sgd(n=100, q=q, steps=1, capacity=100)(noise))

    def without(x):
        return stats.norm.pdf(x, 0, noise)

    def with_it(x):
        return (1 - q) * without(x) + q * stats.norm.pdf(x, 1, noise)

    assert divergence(with_it, without, eps) == pytest.approx(DELTA, rel=2e-3)
    assert divergence(with_it, without, eps) <= DELTA * (1 + 1e-6)


def test_truncation_is_paid_for():
    """Two units in one slot: adding the second can push the first out, which moves the sum by two."""
    noise, delta = 1.3, 0.01
    plan = sgd(n=2, q=0.5, steps=1, delta=delta, capacity=1)(noise)
    eps, _ = accounting.epsilon(plan)

    def density(minus, zero, plus):
        return lambda x: sum(
            weight * stats.norm.pdf(x, at, noise)
            for weight, at in ((minus, -1), (zero, 0), (plus, 1))
        )

    truth = divergence(density(0.375, 0.25, 0.375), density(0.5, 0.5, 0.0), eps)
    assert truth <= delta
    assert eps > accounting.epsilon(plan.untruncated())[0]


def test_it_is_what_dp_accounting_says_of_the_same_event():
    plan = sgd()(9.0)
    step = dpa.TruncatedSubsampledGaussianDpEvent(100, 0.5, plan.sgd().capacity, 9.0)
    direct = pld.PLDAccountant(value_discretization_interval=1e-4).compose(step, 200)
    eps, accountant = accounting.epsilon(plan)
    assert accountant == "pld"
    assert eps == pytest.approx(direct.get_epsilon(DELTA), rel=1e-9)


def test_stages_compose():
    noises = 2.0, 3.0
    both = Plan(DELTA, tuple(Release(noise) for noise in noises))
    together = sum(noise**-2 for noise in noises) ** -0.5
    assert accounting.epsilon(both)[0] == pytest.approx(gaussian_eps(together), rel=1e-3)


@pytest.mark.parametrize(
    ("n", "q", "steps", "sigmas"),
    [
        (100, 0.5, 200, (20.6, 8.2, 3.3)),
        (1000, 0.064, 2000, (10.1, 3.9, 1.57)),
        (10000, 0.0128, 2000, (2.46, 1.12, 0.68)),
    ],
)
def test_sigmas_that_were_measured_before(n, q, steps, sigmas):
    """Renyi DP at delta = 0.1 / n, eps = 1, 3, 10; measured apart from this code."""
    for eps, sigma in zip((1, 3, 10), sigmas, strict=True):
        found = accounting._solve(sgd(n, q, steps, 0.1 / n), eps, "rdp")
        assert found == pytest.approx(sigma, rel=0.01, abs=0.05 if sigma in (8.2, 3.3, 3.9) else 0)


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
def test_published_values_come_out_by_their_formula_and_are_bounds_on_ours(
    q, noise, steps, published
):
    plan = sgd(60_000, q, steps, 1e-5, capacity=60_000)(noise)
    orders = np.concatenate([1 + np.arange(1, 100) / 10, np.arange(12, 64)])
    loss = rdp.RdpAccountant(orders).compose(plan.event())
    # the moments alone: what get_epsilon makes of them has become tighter since
    moments = np.asarray([loss_of(loss, order) for order in orders])
    assert np.min(moments + np.log(1e5) / (orders - 1)) == pytest.approx(published, abs=6e-3)
    renyi = accounting.spent(plan.event(), 1e-5, "rdp")
    eps, accountant = accounting.epsilon(plan)
    assert accountant == "pld"
    assert 0.7 * published < eps < renyi < published


def loss_of(accountant, order):
    """Renyi divergence at one order."""
    return accountant._rdp[list(accountant._orders).index(order)]


@pytest.mark.parametrize("steps", [1, 7, 400])
def test_all_of_everybody_is_one_release_whatever_the_number_of_steps(steps):
    """T steps at rate 1 with sigma are one with sigma / sqrt(T), in both accountants."""
    plan = sgd(q=1.0, steps=steps)(4.0 * math.sqrt(steps))
    assert accounting.epsilon(plan)[0] == pytest.approx(gaussian_eps(4.0), rel=5e-3)
    once = accounting.spent(released(4.0).event(), DELTA, "rdp")
    assert accounting.spent(plan.event(), DELTA, "rdp") == pytest.approx(once, rel=1e-9)
    # Its Renyi divergence of order a is a / (2 sigma^2): the conversion is at most Mironov's.
    orders = np.linspace(1.01, 200, 20_000)
    mironov = np.min(orders / 32 + np.log(1 / DELTA) / (orders - 1))
    assert gaussian_eps(4.0) < once < mironov


def test_a_coarser_grid_is_quicker_and_never_below():
    event = sgd()(9.0).event()
    fine, coarse = (accounting.spent(event, DELTA, "pld", grid) for grid in (1e-4, 1e-2))
    assert fine < coarse < 1.1 * fine


@pytest.mark.parametrize(
    ("family", "eps"),
    [(released, 0.01), (released, 5.0), (sgd(), 1.0), (sgd(q=1.0), 10.0)],
)
def test_calibration_ends_just_below_the_eps_asked(family, eps):
    plan = accounting.calibrate(family, eps)
    assert 0.995 * eps <= accounting.epsilon(plan)[0] <= eps


def test_calibration_below_delta_where_renyi_is_far_off():
    plan = accounting.calibrate(released, 1e-4)
    assert 0.995e-4 <= accounting.epsilon(plan)[0] <= 1e-4
    assert gaussian_eps(plan.stages[0].noise_multiplier) <= 1e-4


def test_pld_needs_less_noise_than_renyi():
    plan = accounting.calibrate(sgd(), 1.0)
    assert 0.8 < plan.sgd().noise_multiplier / accounting._solve(sgd(), 1.0, "rdp") < 0.97


def test_beyond_pld_a_plan_is_run_untruncated_under_renyi():
    plan = accounting.calibrate(sgd(), 80.0)
    eps, accountant = accounting.epsilon(plan)
    assert accountant == "rdp"
    assert 0.995 * 80 <= eps <= 80
    assert plan.sgd().capacity == 100
    loud = sgd()(0.05)
    with pytest.raises(ValueError, match="capacity = n"):
        accounting.epsilon(loud)
    settled = accounting.settle(loud)
    assert settled == loud.untruncated()
    assert accounting.epsilon(settled)[1] == "rdp"
    quiet = sgd()(9.0)
    assert accounting.settle(quiet) == quiet


def test_just_below_the_limit_the_eps_named_is_never_above_the_one_asked(monkeypatch):
    """Where PLD would grant less noise than the Renyi bound that `epsilon` goes by lets pass."""
    monkeypatch.setattr(accounting, "PLD_LIMIT", 10.0)  # a cheaper place to look
    eps, accountant = accounting.epsilon(accounting.calibrate(sgd(q=1.0), 9.9))
    assert accountant == "pld"
    assert 8.5 <= eps <= 9.9


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
    with pytest.raises(
        ValueError, match=r"1e-09 cannot be reached .* the smallest is eps = 0\.0"
    ) as told:
        accounting.calibrate(far, 1e-9)
    nearest = float(re.search(r"smallest is eps = ([\d.]+)", str(told.value))[1])
    assert nearest >= accounting.reach(far)[0]
    assert accounting.calibrate(far, nearest).sgd().noise_multiplier <= accounting.MOST_NOISE
    with pytest.raises(
        ValueError, match=r"1e\+09 cannot be reached .* the largest is eps = "
    ) as told:
        accounting.calibrate(released, 1e9)
    nearest = float(re.search(r"largest is eps = ([\d.e+]+)", str(told.value))[1])
    assert nearest <= accounting.reach(released)[1]
    assert accounting.calibrate(released, nearest).private


def test_answers_are_kept_on_disk_by_question(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = accounting.calibrate(released, 1.0)
    eps = accounting.epsilon(plan)
    files = sorted(tmp_path.rglob("*.json"))
    assert len(files) == 2

    def never(*_):
        raise RuntimeError("solved again")

    with monkeypatch.context() as patch:
        patch.setattr(accounting, "_solve", never)
        assert accounting.calibrate(released, 1.0) == plan
        assert accounting.epsilon(plan) == eps
        for other in (sgd(), sgd(steps=201), lambda noise: Plan(2e-3, (Release(noise),))):
            with pytest.raises(RuntimeError, match="again"):
                accounting.calibrate(other, 1.0)
    for file in files:  # a damaged file costs time, nothing else
        file.write_text("{")
    assert accounting.calibrate(released, 1.0) == plan


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert accounting.epsilon(released(3.0))[0] == pytest.approx(gaussian_eps(3.0), rel=1e-3)
