"""fpu/baselines/gaussian.py: the budget of its sums, closed forms without noise, and better with less noise."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import release_checks
from release_checks import pool_of

from fpu.baselines import gaussian
from fpu.dp import moments, noise
from fpu.models import Spec, frequencies

SPEC = Spec((8, 8, 1), 2)


def blobs(count, seed=0):
    """Two classes of soft squares at random places, uint8 [count, 8, 8, 1], and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    x = np.zeros((count, 8, 8, 1))
    for i, label in enumerate(labels):
        a, b = rng.integers(0, 3, 2)
        x[i, a : a + 4, b + label : b + label + 4] = rng.uniform(120, 250)
    return x.astype(np.uint8), labels


def test_basis_is_orthonormal_and_ordered():
    for shape, kept in (((8, 8, 1), 64), ((28, 28, 1), 100), ((9, 14, 3), 3 * 64)):
        public = frequencies.basis(shape)
        assert public.rows.shape == (kept, np.prod(shape))
        np.testing.assert_allclose(public.rows @ public.rows.T, np.eye(kept), atol=1e-5)
        assert (np.diff(public.band) >= 0).all()
        flat = np.full(shape, 0.5).reshape(-1)
        assert np.abs(public.rows @ flat)[shape[2] :].max() < 1e-5  # constants are the lowest


@pytest.mark.parametrize(("count", "sums"), [(40, 2), (400, 3)])
def test_the_sums_share_one_noise_multiplier(count, sums):
    with release_checks.seen() as calls:
        gaussian.fit(SPEC, pool_of(*blobs(40)), float(count), 0.9, jax.random.key(0))
    assert len(calls) == sums
    assert sum(1 / std**2 for _, std, _ in calls) == pytest.approx(1 / 0.9**2)


def test_each_sum_draws_noise_of_its_own():
    images, labels = blobs(40)
    draws, real = [], noise.normal_on_host

    def spy(key, count):
        draws.append(real(key, count))
        return draws[-1]

    with mock.patch.object(noise, "normal_on_host", spy):
        gaussian.fit(SPEC, pool_of(images, labels), 40.0, 0.1, jax.random.key(0))
    assert len(draws) == 3
    first = np.round([draw[:8] for draw in draws], 6)  # equal keys, other counts: equal first words
    assert len(np.unique(first)) == first.size


def test_without_noise_it_knows_the_moments():
    images, labels = blobs(400)
    params = gaussian.fit(SPEC, pool_of(images, labels), 400.0, 0.0, jax.random.key(0))
    wanted = jnp.asarray(np.arange(4000) % 2)
    # Unclipped draws: the moments are those of the members.
    with mock.patch.object(jnp, "clip", lambda x, *_: x):
        drawn = gaussian.sample(SPEC, params, jax.random.key(1), wanted)
    pixels = images.reshape(400, 64) / 255
    for k in range(2):
        mine = np.asarray(drawn)[np.asarray(wanted) == k].reshape(-1, 64)
        theirs = pixels[labels == k]
        np.testing.assert_allclose(mine.mean(0), theirs.mean(0), atol=0.05)
        error = np.linalg.norm(np.cov(mine.T) - np.cov(theirs.T)) / np.linalg.norm(np.cov(theirs.T))
        assert error < 0.25


def test_less_noise_is_nearer():
    images, labels = blobs(400)
    pool = pool_of(images, labels)
    pixels = images.reshape(400, 64) / 255
    means = np.stack([pixels[labels == k].mean(0) for k in range(2)])

    def error(sigma):
        total = 0.0
        for seed in range(3):
            p = gaussian.fit(SPEC, pool, 400.0, sigma, jax.random.key(seed))
            found = (p["centre"][None] + p["means"]) @ frequencies.basis(SPEC.shape).rows + 0.5
            total += np.linalg.norm(found - means)
        return total

    assert error(0.3) < error(10.0) < error(300.0)


def test_draws_are_images_whatever_the_noise_and_the_members():
    empty = pool_of(np.full((4, 8, 8, 1), 200, np.uint8), [0, 0, 0, 0])  # no member of class 1
    for sigma in (0.0, 0.05, 20.0):
        params = gaussian.fit(SPEC, empty, 4.0, sigma, jax.random.key(0))
        drawn = gaussian.sample(SPEC, params, jax.random.key(1), jnp.array([0, 1, 1]))
        assert drawn.shape == (3, 8, 8, 1)
        assert np.isfinite(drawn).all()
        assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_a_group_counts_as_one_unit(calls_of):
    summed = calls_of(moments, "energies")
    gaussian.fit(SPEC, release_checks.three_units(*blobs(6)), 3.0, 1.0, jax.random.key(0))
    assert [len(call.args[0]) for call in summed] == [3]
