"""fpu/baselines/merf_prior.py: one sum of one noise multiplier, neighbouring sets, and codes that fit without noise."""

import jax
import linear_prior
import numpy as np
import pytest
import release_checks
from linear_prior import SPEC, make

from fpu.baselines import merf_prior
from fpu.dp import moments
from fpu.priors import release


@pytest.fixture(autouse=True, scope="module")
def _small():
    """Few features and steps: what is promised holds for any number of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merf_prior, "FEATURES", 100)
        patch.setattr(merf_prior, "STEPS", 100)
        merf_prior._features.cache_clear()
        yield
    merf_prior._features.cache_clear()


def fit(images, labels, sigma=0.0):
    pool = release_checks.pool_of(images, labels)
    return merf_prior.fit(make(), SPEC, pool, float(len(images)), sigma, jax.random.key(0))


def test_there_is_one_sum_with_all_of_the_budget():
    release_checks.budget(merf_prior, ((60, 1),))


def test_one_member_tells_no_more_than_one_release_whatever_it_holds():
    release_checks.strange_neighbours(merf_prior)


def test_a_group_gives_one_image():
    (sums,) = release_checks.sums_of_three_units(merf_prior)
    assert sums[-SPEC.n_classes :].sum() == pytest.approx(3 * moments.COUNT)


def test_without_noise_free_codes_have_the_mean_and_the_spread_of_their_class():
    """Each class of members has two bumps: a set of codes with its mean feature has them, too."""
    images, labels = linear_prior.members(300)
    means = np.asarray(fit(images, labels)["means"])
    codes = release.encoded(make(), images)
    for k in range(3):
        own = codes[labels == k]
        size = np.linalg.norm(own.std(0))
        assert np.linalg.norm(means[k].mean(0) - own.mean(0)) < 0.3 * size
        assert np.linalg.norm(means[k].std(0)) == pytest.approx(size, rel=0.3)


@pytest.mark.parametrize("sigma", [0.0, 20.0])
def test_draws_are_images_whatever_the_noise_and_the_members(sigma):
    release_checks.draws_whatever_the_members(merf_prior, merf_prior.sample, sigma)
