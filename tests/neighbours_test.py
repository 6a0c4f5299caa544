"""fpu/neighbours.py: brute force, exact zeros, equal values for equal rows."""

import numpy as np
import pytest

from fpu import neighbours


def images(n, seed, shape=(5, 4, 3)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_nearest_is_brute_force_whatever_the_blocks(monkeypatch, k):
    monkeypatch.setattr(neighbours, "_POINTS", 4)
    monkeypatch.setattr(neighbours, "_POOL", 3)
    a, b = images(10, 0), images(8, 1)
    every = np.array([[np.linalg.norm(x.astype(float) - y) for y in b] for x in a])
    distances, rows = neighbours.nearest(a, b, k)
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(every, rows, 1), distances, rtol=1e-12)
    np.testing.assert_array_equal(neighbours.distance(a, b), neighbours.nearest(a, b)[0][:, 0])


def test_a_copy_is_at_exactly_zero_and_one_grey_level_is_not():
    pool = images(30, 0, (64, 64, 3))
    pool[0] = 255
    near = pool[:5].copy()
    near[:, 0, 0, 0] ^= 1
    assert (neighbours.distance(pool[:5], pool) == 0).all()
    assert (neighbours.distance(near, pool) == 1).all()
    features = 1e3 + np.random.default_rng(0).standard_normal((3000, 64))  # two blocks of the pool
    distances, _ = neighbours.nearest(features[::7], np.concatenate([features, features]), 2)
    assert (distances == 0).all()


def test_of_equals_the_first_comes_first():
    pool = np.array([[3.0], [1.0], [1.0], [1.0]])
    distances, rows = neighbours.nearest(np.array([[1.0]]), pool, 4)
    assert (distances.tolist(), rows.tolist()) == ([[0, 0, 0, 2]], [[1, 2, 3, 0]])


def test_sets_that_are_too_small():
    assert np.isinf(neighbours.distance(images(2, 0), images(0, 0))).all()
    assert neighbours.distance(images(0, 0), images(2, 0)).shape == (0,)
    distances, rows = neighbours.nearest(images(1, 0), images(1, 0), 2)
    assert (distances.tolist(), rows.tolist()) == ([[0, np.inf]], [[0, -1]])


def test_equal_rows_get_equal_values_although_a_function_rounds_by_place():
    a, b = images(6, 0), images(4, 1)
    b[:2] = a[4], a[4]

    def sums(rows):  # differs from place to place
        return rows.reshape(len(rows), -1).sum(1) + 1e-9 * np.arange(len(rows))

    found = neighbours.on_distinct(sums, a, b, b[:0])
    assert [len(x) for x in found] == [6, 4, 0]
    assert found[1][0] == found[1][1] == found[0][4]
    for rows, values in zip((a, b), found, strict=False):
        np.testing.assert_allclose(values, rows.reshape(len(rows), -1).sum(1))
