"""fpu/priors/release.py: its budget, neighbouring sets, plain quantities without noise."""

import hypothesis
import jax
import linear_prior
import numpy as np
import pytest
import release_checks
from hypothesis import strategies as st
from linear_prior import SPEC, make

from fpu import priors
from fpu.dp import rows
from fpu.priors import draws, release


def fit(images, labels, sigma=0.0, n=None, prior=None, key=None):
    pool = release_checks.pool_of(images, labels)
    key = jax.random.key(0) if key is None else key
    return release.fit(prior or make(), SPEC, pool, float(n or len(images)), sigma, key)


def spread(params, k):
    """Mean and covariance of class k."""
    w, m, r = (np.asarray(params[name][k], np.float64) for name in ("weights", "means", "roots"))
    mean = w @ m / w.sum()
    return mean, (m - mean).T * (w / w.sum()) @ (m - mean) + r @ r.T


@pytest.mark.parametrize(
    ("n", "sigma", "wanted"),
    [(500, 3.73, 1), (1000, 0.5, 1), (10_000, 3.73, 2), (60_000, 3.73, 17), (60_000, 0.5, 30)],
)
def test_components_are_a_public_rule(n, sigma, wanted):
    assert release.components(make(), float(n), 10, sigma) == wanted


def test_where_nothing_decodes_there_are_class_means_alone():
    """Draws are the clearest of a class there: a covariance for each class makes them those of the widest."""
    margin = release_checks.by_margin()
    assert release.components(margin, 60_000.0, 10, 0.5) == 1
    params = fit(*linear_prior.members(60), sigma=0.9, n=3000, prior=margin)
    assert params["means"].shape[:2] == (3, 1)


def test_the_brightness_is_released_where_members_are_many_and_nothing_decodes():
    margin = release_checks.by_margin()
    for prior, n, wanted in (
        (margin, 1500, True),
        (margin, 1400, False),
        (margin._replace(brightness=False), 1500, False),
        (make(), 1500, False),
    ):
        assert release.says_how_bright(prior, float(n), 3, 2.0) == wanted
        params = fit(*linear_prior.members(60), sigma=2.0, n=n, prior=prior)
        assert ("brightness" in params) == wanted


def test_labels_of_8_bits_give_what_wider_ones_do():
    images, _ = linear_prior.members(60)
    pool = release_checks.pool_of(images, np.arange(60) % 10)
    narrow = pool._replace(labels=pool.labels.astype(np.int8))
    spec = SPEC._replace(n_classes=10)
    wide, same = (
        release.fit(make(), spec, one, 27_000.0, 0.5, jax.random.key(0)) for one in (pool, narrow)
    )
    assert wide["weights"].shape == (10, release.MOST)
    jax.tree.map(np.testing.assert_array_equal, wide, same)


def test_the_sums_share_one_noise_multiplier():
    release_checks.budget()
    release_checks.margin_budget()


def test_a_direction_without_variance_in_the_pool_can_be_drawn_from_by_margin():
    """As in spaces of small images, which have fewer features than a code has numbers."""
    flat = make().codes.copy()
    flat[:, 0] = 0
    prior = make()._replace(codes=flat, within=priors.within(flat, None))
    params = fit(*linear_prior.members(30), sigma=1.0, prior=prior)
    drawn = draws.sample(prior, SPEC, params, jax.random.key(0), np.arange(9) % 3, "margin")
    assert drawn.shape == (9, *SPEC.shape)


def test_one_member_tells_no_more_than_one_release():
    release_checks.neighbours()
    release_checks.margin_neighbours()


@hypothesis.settings(max_examples=12)
@hypothesis.given(
    seed=st.integers(0, 99),
    label=st.integers(-1, 3),
    sigma=st.sampled_from([1e-3, 1.0, 30.0]),
    denominator=st.sampled_from([12, 3000]),
    code=st.sampled_from([None, np.nan, np.inf, -3e38, 1e30]),
)
def test_whatever_the_member_holds(seed, label, sigma, denominator, code):
    """Random pixels, any label, and an encoder that fails on them."""
    label = max(0, min(label, 2))
    images, labels, prior = linear_prior.with_a_strange_member(seed, label, code)
    for each in (prior, release_checks.by_margin(prior)):
        moved, allowed = release_checks.exposure(images, labels, sigma, denominator, each)
        assert np.isfinite(moved)
        assert moved <= allowed * (1 + 1e-6)


def test_the_only_member_can_be_taken_away():
    images, labels = linear_prior.members(1)
    for prior in (make(), release_checks.by_margin()):
        moved, allowed = release_checks.exposure(images, labels, 1.0, 3000, prior)
        assert 0 < moved <= allowed


def test_a_code_does_not_depend_on_the_other_images():
    images, _ = linear_prior.members(rows.CHUNK + 7)
    codes = release.encoded(make(), images)
    for count in (1, 30, rows.CHUNK + 1):
        np.testing.assert_array_equal(release.encoded(make(), images[:count]), codes[:count])
    assert (np.linalg.norm(codes, axis=1) <= make().radius * (1 + 1e-12)).all()


def test_without_noise_a_small_release_is_the_class_means():
    images, labels = linear_prior.members(60)
    params = fit(images, labels)
    codes = release.encoded(make(), images)
    for k in range(3):
        mean, covariance = spread(params, k)
        np.testing.assert_allclose(mean, codes[labels == k].mean(0), atol=1e-5)
        np.testing.assert_allclose(covariance, release.WIDER * make().within, atol=1e-5)


def test_without_noise_a_large_release_is_the_moments_of_each_class():
    images, labels = linear_prior.members(3000)
    # Nothing is clipped.
    prior = make()._replace(within=0.3 * np.eye(5, dtype=np.float32), radius=100.0)
    params = fit(images, labels, prior=prior)
    assert params["means"].shape == (3, 11, 5)
    codes = release.encoded(prior, images)
    for k in range(3):
        own = codes[labels == k]
        mean, covariance = spread(params, k)
        np.testing.assert_allclose(mean, own.mean(0), atol=1e-3)
        np.testing.assert_allclose(covariance, np.cov(own.T), atol=0.02 * np.trace(np.cov(own.T)))
        # The components follow the two bumps: they say more than one normal distribution does.
        within = params["roots"][k] @ params["roots"][k].T
        assert np.trace(within) < 0.5 * np.trace(np.cov(own.T))


def test_less_noise_is_nearer():
    images, labels = linear_prior.members(900)
    codes = release.encoded(make(), images)
    means = np.stack([codes[labels == k].mean(0) for k in range(3)])

    def error(sigma):
        keys = jax.random.split(jax.random.key(1), 4)
        found = [fit(images, labels, sigma, key=key) for key in keys]
        return sum(np.linalg.norm([spread(p, k)[0] - means[k] for k in range(3)]) for p in found)

    assert error(0.5) < error(10.0) < error(300.0)


@pytest.mark.parametrize(("sigma", "n"), [(0.0, 4), (20.0, 4), (0.1, 3000), (11.0, 9000)])
def test_draws_are_images_whatever_the_noise_and_the_members(sigma, n):
    release_checks.draws_whatever_the_members(release, draws.sample, sigma, n)


def test_a_group_counts_as_one_unit():
    assert release_checks.sums_of_three_units(release)[0][-3:].sum() == pytest.approx(3 * 0.2)
