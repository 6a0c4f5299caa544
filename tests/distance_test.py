"""fpu/privacy/distance.py."""

import numpy as np

from fpu.privacy import distance


def images(n, seed, shape=(5, 4, 3)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def test_nearest_is_the_brute_force_minimum(monkeypatch):
    monkeypatch.setattr(distance, "_QUERIES", 4)
    monkeypatch.setattr(distance, "_POOL", 3)
    a, b = images(10, 0), images(8, 1)
    expected = [min(np.linalg.norm(x.astype(float) - y) for y in b) for x in a]
    np.testing.assert_allclose(distance.nearest(a, b), expected, rtol=1e-12)


def test_a_copy_is_at_exactly_zero_and_one_grey_level_is_not():
    pool = images(30, 0, (64, 64, 3))
    pool[0] = 255
    near = pool[:5].copy()
    near[:, 0, 0, 0] ^= 1
    assert (distance.nearest(pool[:5], pool) == 0).all()
    assert (distance.nearest(near, pool) == 1).all()


def test_empty_sets():
    assert np.isinf(distance.nearest(images(2, 0), images(0, 0))).all()
    assert distance.nearest(images(0, 0), images(2, 0)).shape == (0,)
