"""fpu/privacy/paper_epsilon.py."""

import numpy as np
import pytest

from fpu.privacy import paper_epsilon
from fpu.privacy.paper_epsilon import SAMPLING_ERROR, K, embedding, log_ratio, summary, unchanged


def points(n, seed, centre=(0.0, 0.0), sd=1.0):
    return np.random.default_rng(seed).normal(centre, sd, (n, 2))


def density(x, centre, sd):
    return np.exp(-((x - np.asarray(centre)) ** 2).sum(1) / (2 * sd**2)) / (2 * np.pi * sd**2)


def test_the_ratio_is_the_brute_force_one():
    queries, ablated, victim = points(5, 0), points(30, 1), points(30, 2)
    expected = []
    for x in queries:
        a, v = (sorted(np.hypot(*(x - y)) for y in side)[2] for side in (ablated, victim))
        expected.append(np.log(a / v))
    np.testing.assert_allclose(log_ratio(queries, ablated, victim, 3), expected, rtol=1e-12)


def test_with_the_dimension_it_is_the_log_density_ratio_of_two_gaussians_and_as_coded_half_of_it():
    queries = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, -0.5], [-0.6, 0.9]])
    victim, ablated = ((0.0, 0.0), 1.0), ((1.5, 0.5), 1.4)
    true = np.log(density(queries, *victim) / density(queries, *ablated))
    n, k = 40_000, 400
    found = log_ratio(queries, points(n, 0, *ablated), points(n, 1, *victim), k)
    error = np.sqrt(2 / k)  # of a log density ratio by k neighbours
    assert np.abs(2 * found - true).max() < 4 * error
    assert np.abs(found - true).max() > 8 * error  # as coded is not the log ratio


def test_the_sampling_error_is_that_of_repeated_draws():
    rng, query = np.random.default_rng(0), np.zeros((1, 2))
    found = [log_ratio(query, *rng.uniform(-1, 1, (2, 1000, 2)))[0] for _ in range(400)]
    assert abs(np.std(found) / SAMPLING_ERROR - 1) < 0.15  # of a standard deviation of 400: .035
    assert abs(np.mean(found)) < 4 * SAMPLING_ERROR / 20


def test_copies_of_the_query_make_the_ratio_infinite():
    query, others, copies = np.zeros((1, 2)), points(200, 0), points(200, 1)
    copies[:K] = 0.0
    assert log_ratio(query, others, copies)[0] == np.inf
    assert log_ratio(query, copies, others)[0] == -np.inf
    assert np.isnan(log_ratio(query, copies, copies)[0])


def test_samples_too_few_or_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="19 and 19 samples"):
        log_ratio(points(1, 0), points(19, 1), points(19, 2))
    with pytest.raises(ValueError, match="30 and 31"):
        log_ratio(points(1, 0), points(30, 1), points(31, 2))


def test_summary_weighs_classes_alike_and_doubles_with_the_dimension():
    out = summary([1.0, 3.0, 8.0], [4, 4, 7])
    assert out["per_class"]["4"]["as_coded"]["value"] == 2.0
    width = 1.96 * SAMPLING_ERROR
    wanted = {"value": 8, "low": 8 - width, "high": 8 + width, "n": 1}
    assert out["per_class"]["7"]["as_coded"] == pytest.approx(wanted, abs=1e-4)
    coded, real = out["overall"]["as_coded"], out["overall"]["with_dimension"]
    assert (coded["value"], coded["n"], real["n"]) == (5.0, 2, 2)
    names = "value", "low", "high"
    assert [real[x] for x in names] == [2 * coded[x] for x in names]
    half = 12.7062 * np.std([2, 8], ddof=1) / np.sqrt(2)  # Student's, one degree of freedom
    assert coded["high"] == pytest.approx(5 + half, rel=1e-4)


def test_equal_values_are_no_more_certain_than_their_draws():
    out = summary(np.zeros(8), [0, 0, 0, 0, 1, 1, 1, 1])
    error = out["per_class"]["0"]["as_coded"]["high"]
    assert error == pytest.approx(1.96 * SAMPLING_ERROR, rel=1e-4)
    error = out["overall"]["as_coded"]["high"]
    assert error == pytest.approx(1.96 * SAMPLING_ERROR / 2**0.5, rel=1e-4)


def test_a_query_buried_in_copies_is_told_not_left_out():
    out = summary([1.0, np.inf], [0, 1])
    for part in (out["overall"], out["per_class"]["1"]):
        assert part["with_dimension"]["value"] is None
        assert "copies" in part["as_coded"]["reason"]
    assert out["per_class"]["0"]["as_coded"]["value"] == 1.0
    assert "no query" in summary([], [])["overall"]["as_coded"]["reason"]


def test_unchanged_is_the_range_of_single_images():
    out = unchanged(np.linspace(-1, 1, 201))
    assert out["as_coded"] == pytest.approx({"value": 0, "low": -0.95, "high": 0.95, "n": 201})
    assert out["with_dimension"]["high"] == pytest.approx(1.9)
    assert unchanged([0.0, np.nan])["as_coded"]["value"] is None


def strips(n, seed=0, classes=2):
    """Images on a curve: a bar of one row whose brightness and place vary; class by brightness."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 8, 8, 1), np.uint8)
    rows = rng.integers(0, 8, n)
    images[np.arange(n), rows] = rng.integers(60, 256, (n, 1, 1))
    images[..., 0] += rng.integers(0, 30, (n, 8, 8), np.uint8) // 2 * (images[..., 0] < 200)
    return images, np.arange(n) % classes


def test_the_embedding_keeps_neighbours_and_is_that_of_the_first_200(monkeypatch):
    monkeypatch.setattr(paper_epsilon, "PER_CLASS", 40)
    images, labels = strips(120)
    one, more = embedding(images[:80], labels[:80]), embedding(images, labels)
    assert one.per_class == more.per_class == {0: 40, 1: 40}
    assert one.n == more.n == 5 * 80
    at = one.embed(images)
    assert (at.shape, at.dtype) == ((120, 2), np.float64)
    np.testing.assert_allclose(at, more.embed(images), atol=1e-3)
    near = images[:20].copy()
    near[:, 0, 0] ^= 1  # one grey level
    moved = np.linalg.norm(one.embed(near) - at[:20], axis=1)
    assert moved.max() < 0.05 * np.linalg.norm(at - at.mean(0), axis=1).mean()


def test_many_classes_share_the_images_that_isomap_can_bear(monkeypatch):
    monkeypatch.setattr(paper_epsilon, "MOST", 20)
    images, labels = strips(120, classes=4)
    assert embedding(images, labels).per_class == {0: 5, 1: 5, 2: 5, 3: 5}


def test_images_without_a_map_are_refused_with_the_reason():
    constant = np.full((50, 8, 8, 1), 7, np.uint8)
    with pytest.raises(ValueError, match="1 distinct real images"):
        embedding(constant, np.zeros(50, int))
    with pytest.raises(ValueError, match="0 distinct"):
        embedding(constant[:0], np.zeros(0, int))
    rng = np.random.default_rng(0)
    two = np.repeat(np.array([0, 255], np.uint8), 30)[:, None, None, None]
    islands = two * np.ones((60, 8, 8, 1), np.uint8)
    islands ^= rng.integers(0, 8, islands.shape, np.uint8)
    with pytest.raises(ValueError, match="falls into parts"):
        embedding(islands, np.arange(60) % 2)
