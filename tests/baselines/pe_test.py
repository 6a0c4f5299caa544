"""fpu/baselines/pe.py: votes that share one budget, neighbouring sets, plain shares without noise, variations."""

import jax
import linear_prior
import numpy as np
import pytest
import release_checks
from linear_prior import SPEC, make

from fpu.baselines import pe
from fpu.priors import release


def fit(images, labels, sigma=0.0):
    pool = release_checks.pool_of(images, labels)
    return pe.fit(make(), SPEC, pool, float(len(images)), sigma, jax.random.key(0))


@pytest.mark.parametrize(
    ("n", "sigma", "fewest", "most"),
    [(30, 100.0, 2, 2), (500, 3.731, 20, 100), (1000, 3.731, 30, 150), (10**9, 1.0, 1000, 1000)],
)
def test_how_many_candidates_is_a_public_rule(n, sigma, fewest, most):
    assert fewest <= pe.components(make(), float(n), 10, sigma) <= most


def test_the_rounds_share_one_noise_multiplier():
    release_checks.vote_budget()


def test_one_member_tells_no_more_than_one_release():
    release_checks.vote_neighbours()


def test_whatever_the_member_holds():
    release_checks.strange_neighbours(pe)


def test_a_group_has_one_vote_a_round():
    counts = release_checks.sums_of_three_units(pe)
    assert [each.sum() for each in counts] == [3.0] * pe.ROUNDS


def test_without_noise_the_votes_are_the_members_of_each_class_and_their_means_are_near():
    images, labels = linear_prior.members(300)
    with release_checks.seen() as calls:
        params = fit(images, labels)
    codes = release.encoded(make(), images)
    population, weights = (np.asarray(params[name]) for name in ("means", "weights"))
    votes = calls[-1][0].reshape(3, -1)
    np.testing.assert_allclose(votes, 100.0 * weights, atol=1e-4)
    for k in range(3):
        own = codes[labels == k]
        away = np.linalg.norm(own[:, None] - population[k][None], axis=2)
        _, same = np.unique(population[k], axis=0, return_inverse=True)  # of equal ones one has all
        found = np.bincount(same.ravel(), votes[k])
        nearest = same.ravel()[away.argmin(1)]
        np.testing.assert_array_equal(found, np.bincount(nearest, minlength=len(found)))
        spread = np.linalg.norm(own - own.mean(0), axis=1).mean()
        assert np.linalg.norm(weights[k] @ population[k] - own.mean(0)) < 0.5 * spread


def test_a_population_comes_nearer_from_round_to_round():
    images, labels = linear_prior.members(300)
    nearest, real = [], release.nearest

    def spy(rows, classes, population):
        chosen = real(rows, classes, population)
        nearest.append(np.linalg.norm(rows - population[classes, chosen], axis=1).mean())
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "nearest", spy)
        fit(images, labels)
    assert len(nearest) == pe.ROUNDS
    assert nearest[-1] < nearest[0]


def test_counts_of_noise_alone_are_dropped_and_the_largest_stays():
    std = 2.0
    counts = np.array([[1.0, -8.0, 4.0, 100.0], [1.0, 0.0, -1.0, 0.5]])
    np.testing.assert_allclose(pe._above(counts, std), [[0, 0, 0, 1], [1, 0, 0, 0]])
    counts[0, 2] = 100.0
    np.testing.assert_allclose(pe._above(counts, std)[0], [0, 0, 0.5, 0.5])


@pytest.mark.parametrize("sigma", [0.0, 20.0])
def test_draws_are_images_whatever_the_noise_and_the_members(sigma):
    release_checks.draws_whatever_the_members(pe, pe.sample, sigma)
