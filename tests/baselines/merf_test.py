"""fpu/baselines/merf.py: features of a kernel, a budget spent once, and a generator that meets its classes."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import release_checks
import tiny

from fpu.baselines import merf
from fpu.models import Spec, frequencies, gan

pytestmark = pytest.mark.usefixtures("small_generator")

SPEC = Spec((8, 8, 1), 2)


@pytest.fixture
def small_generator(monkeypatch):
    small = dataclasses.replace(gan.SIZES["default"], width=64, depth=1)
    monkeypatch.setitem(gan.SIZES, "default", small)


def pool_of(n):
    """Two classes: one of dark, one of bright images, a little different each."""
    pool = tiny.pool(n, n_classes=2)
    images = np.asarray(pool.images) // 16 + 200 * np.asarray(pool.labels)[:, None, None, None]
    return pool._replace(images=jnp.asarray(images, jnp.uint8))


def test_features_have_norm_one_and_the_products_of_a_gaussian_kernel():
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 8, 8, 1)), jnp.float32)
    found = merf._features(SPEC)(images)
    np.testing.assert_allclose(jnp.sum(found**2, axis=1), 1.0, rtol=1e-5)
    z = (np.asarray(images).reshape(6, -1) - 0.5) @ frequencies.basis((8, 8, 1)).rows.T
    kernel = np.exp(-np.square(z[:, None] - z[None]).sum(-1) / (2 * (merf.SCALE * 4.0) ** 2))
    np.testing.assert_allclose(found @ found.T, kernel, atol=0.1)


def test_one_release_with_the_noise_it_was_given():
    with release_checks.seen() as calls, mock.patch.object(merf, "STEPS", 2):
        merf.fit(SPEC, pool_of(6), 6.0, 0.7, jax.random.key(0))
    assert [std for _, std, _ in calls] == [0.7]


def test_only_the_release_looks_at_images():
    """With the noised sums held fixed, other images of other classes give the same generator."""
    other = pool_of(8)._replace(images=jnp.full((8, 8, 8, 1), 77, jnp.uint8))
    fixed = jnp.ones((2, 2 * merf.FEATURES)) / 100, jnp.array([4.0, 4.0])
    embeddings = mock.patch.object(merf.moments, "embeddings", return_value=fixed)
    with embeddings, mock.patch.object(merf, "STEPS", 2):
        both = [merf.fit(SPEC, pool, 8.0, 1.0, jax.random.key(0)) for pool in (pool_of(8), other)]
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_noise_the_classes_look_like_their_members():
    with mock.patch.object(merf, "STEPS", 200):
        params = merf.fit(SPEC, pool_of(40), 40.0, 0.0, jax.random.key(0))
    labels = jnp.repeat(jnp.arange(2), 20)
    images = jax.jit(functools.partial(merf.sample, SPEC))(params, jax.random.key(1), labels)
    assert images.shape == (40, 8, 8, 1)
    means = np.asarray(images).reshape(2, -1).mean(axis=1)
    np.testing.assert_allclose(means, [7.5 / 255, 207.5 / 255], atol=0.05)
