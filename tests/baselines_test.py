"""fpu/models/baselines.py: the sensitivity of what is released, and what comes out without noise."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu.dp import noise
from fpu.models import Spec, baselines

pytestmark = pytest.mark.usefixtures("quick_compiles")

SPEC = Spec((8, 8, 1), 3)


def pool_of(images, labels):
    n = len(labels)
    return tiny.pool(n)._replace(images=jnp.asarray(images), labels=jnp.asarray(labels, jnp.int32))


def without(pool, unit):
    """The pool of all units but one."""
    keep = np.arange(len(pool.sizes)) != unit
    return pool._replace(units=pool.units[keep], sizes=pool.sizes[keep])


@jax.jit
def released(pool, clip):
    """All numbers that `gaussian` adds noise to, as one vector."""
    seen = []

    def spy(tree, key, std):
        seen.append(jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(tree)]))
        return tree

    with mock.patch.object(noise, "gaussian", spy):
        baselines.gaussian(SPEC).fit(pool, 6.0, clip, 1.0, jax.random.key(0))
    (vector,) = seen  # one release
    return vector


def moved(pool, smaller, clip):
    """How far the release of one pool is from that of another."""
    return np.linalg.norm(np.float64(released(pool, clip)) - np.float64(released(smaller, clip)))


@pytest.mark.parametrize("clip", [0.3, 1.0, 50.0])
def test_one_unit_moves_the_release_of_gaussian_by_at_most_the_clip_norm(clip):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    images[0], images[1] = 0, 255
    pool = pool_of(images, [0, 0, 1, 1, 2, 2])
    for unit in range(6):
        assert 0 < moved(pool, without(pool, unit), clip) <= clip * (1 + 1e-5)


def test_a_group_moves_it_no_further():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    pool = pool_of(images, [0, 1, 2, 0, 1, 2])._replace(
        units=jnp.array([[0, 0, 0, 0], [1, 1, 1, 1], [2, 3, 4, 5]]), sizes=jnp.array([1, 1, 4])
    )
    smaller = pool._replace(units=pool.units[:2], sizes=pool.sizes[:2])
    assert 0 < moved(pool, smaller, 0.5) <= 0.5 * (1 + 1e-5)


FIT = jax.jit(baselines.gaussian(SPEC).fit)


def fit_gaussian(pool, denominator, std=0.0, clip=1e3, key=0):
    return FIT(pool, denominator, clip, std, jax.random.key(key))


def test_without_noise_gaussian_knows_means_and_deviation():
    images = np.random.default_rng(0).integers(100, 156, (60, 8, 8, 1), np.uint8)
    labels = np.arange(60) % 3
    images[labels == 2] += 80
    params = fit_gaussian(pool_of(images, labels), 60.0)
    pixels = images.reshape(60, 64) / 255
    means = np.stack([pixels[labels == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(params["means"], means, atol=1e-4)
    np.testing.assert_allclose(
        params["deviation"], np.sqrt(np.square(pixels - means[labels]).mean(0)), atol=1e-3
    )


def test_noise_and_empty_classes_leave_images_images():
    pool = pool_of(np.full((4, 8, 8, 1), 200, np.uint8), [0, 0, 1, 1])
    for std in (0.0, 5.0):
        params = fit_gaussian(pool, 4.0, std=std)
        drawn = baselines.gaussian(SPEC).sample(params, jax.random.key(1), jnp.array([0, 1, 2, 2]))
        assert drawn.shape == (4, 8, 8, 1)
        assert np.isfinite(drawn).all()
        assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    assert not tiny.same(fit_gaussian(pool, 4.0, 1.0), fit_gaussian(pool, 4.0, 1.0, key=1))


@pytest.mark.parametrize(("name", "source"), [("copycat", "members"), ("fresh", "nonmembers")])
def test_the_others_hand_out_real_images_of_the_wanted_class(name, source):
    baseline = baselines.BASELINES[name](SPEC)
    assert (baseline.source, baseline.private) == (source, False)
    pool = tiny.pool(9)
    params = baseline.fit(pool, 9.0, 1.0, 0.0, jax.random.key(0))
    labels = np.repeat([0, 1, 2], 40)
    drawn = np.round(
        255 * np.asarray(baseline.sample(params, jax.random.key(1), jnp.asarray(labels)))
    )
    for label in range(3):
        mine = {x.tobytes() for x in drawn[labels == label].astype(np.uint8)}
        theirs = {x.tobytes() for x in np.asarray(pool.images)[np.asarray(pool.labels) == label]}
        assert mine == theirs
