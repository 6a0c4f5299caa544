"""fpu/priors/draws.py: each way of drawing against brute force."""

import functools

import jax
import linear_prior
import numpy as np
import pytest
from linear_prior import SPEC, make

from fpu.priors import draws

COUNT = 620
LABELS = np.arange(COUNT) % 3


@functools.cache
def params():
    rng = np.random.default_rng(0)
    roots = 0.2 * np.stack([np.linalg.qr(rng.normal(size=(5, 5)))[0] for _ in range(3)])
    means, weights = rng.normal(size=(3, 2, 5)) * 0.4, np.array([[0.7, 0.3], [0.2, 0.8], [1, 0]])
    return {"weights": weights, "roots": roots, "means": means}


@functools.cache
def drawn(way, count=COUNT, seed=0):
    images = draws.sample(make(), SPEC, params(), jax.random.key(seed), LABELS[:count], way)
    assert images.dtype == np.float32
    return np.round(255 * images).astype(np.uint8)


def of_the_pool(images):
    """The row of the pool that each image is, or -1."""
    same = (images[:, None] == make().images[None]).all((2, 3, 4))
    return np.where(same.any(1), same.argmax(1), -1)


@pytest.mark.parametrize("way", [*draws.WAYS, None])
def test_draws_are_images_that_the_key_settles(way):
    images = drawn(way)
    assert images.shape == (COUNT, 8, 8, 1)
    np.testing.assert_array_equal(images[:90], drawn(way, 90))
    assert (images != drawn(way, seed=1)).any((1, 2, 3)).mean() > 0.5


def test_codes_have_the_moments_of_the_release():
    labels = np.repeat(np.arange(3), 20_000)
    p = params()
    z = draws.codes(p, jax.random.key(0), labels)
    for k in range(3):
        mean = p["weights"][k] @ p["means"][k]
        apart = p["means"][k] - mean
        wanted = (apart.T * p["weights"][k]) @ apart + p["roots"][k] @ p["roots"][k].T
        np.testing.assert_allclose(z[labels == k].mean(0), mean, atol=0.02)
        np.testing.assert_allclose(np.cov(z[labels == k].T), wanted, atol=0.01)


def test_a_pick_is_the_nearest_image_of_the_pool():
    z = draws.codes(params(), jax.random.split(jax.random.key(0), 3)[0], LABELS)
    nearest = np.square(z[:, None] - make().codes[None]).sum(-1).argmin(1)
    np.testing.assert_array_equal(drawn("picked"), make().images[nearest])


def test_a_varied_pick_is_as_near_or_nearer():
    z = draws.codes(params(), jax.random.split(jax.random.key(0), 3)[0], LABELS)
    codes = [linear_prior.encode(drawn(way)) for way in ("picked", "varied")]
    distances = [np.square(x - z).sum(1) for x in codes]
    assert (distances[1] <= distances[0]).all()
    assert (distances[1] < distances[0]).mean() > 0.5
    prior, key = make()._replace(vary=None), jax.random.key(0)
    still = draws.sample(prior, SPEC, params(), key, LABELS, "varied")
    np.testing.assert_array_equal(np.round(255 * still).astype(np.uint8), drawn("picked"))


def test_half_is_decoded():
    decoded, half = drawn("decoded"), drawn("half")
    assert 0.4 < (decoded == half).all((1, 2, 3)).mean() < 0.6


def test_a_draw_that_the_release_gives_another_class_is_drawn_again(monkeypatch):
    means = params()["means"]

    def others(images):
        codes = linear_prior.encode(images)
        apart = np.linalg.norm(codes[:, None, None] - means[None], axis=3).min(2)
        return apart.argmin(1) != LABELS

    once, again = drawn("half"), drawn(None)
    kept = ~others(once)
    assert 0.1 < kept.mean() < 0.95
    np.testing.assert_array_equal(again[kept], once[kept])
    assert others(again).mean() < 0.3 * others(once).mean()
    monkeypatch.setattr(draws, "AGAIN", 100)
    images = draws.sample(make(), SPEC, params(), jax.random.key(0), LABELS)
    assert not others(np.round(255 * images).astype(np.uint8)).any()


def test_of_the_densest_the_clearest_are_taken_once_until_all_are_used(monkeypatch):
    monkeypatch.setattr(draws, "FEWEST", 8)
    monkeypatch.setattr(draws, "CLEAREST", 0.03)  # 12 of 400
    p, codes = params(), make().codes.astype(np.float64)
    joint = np.zeros((400, 3))
    for k in range(3):
        inverse = np.linalg.inv(p["roots"][k] @ p["roots"][k].T)
        for mean, weight in zip(p["means"][k], p["weights"][k], strict=True):
            away = codes - mean
            joint[:, k] += weight * np.exp(-np.einsum("ni,ij,nj->n", away, inverse, away) / 2)
    density = joint.sum(1)
    with np.errstate(divide="ignore"):
        score = np.log(joint / density[:, None]) + 0.15 * np.log(density / 3)[:, None] / 5
    for share, count in ((0.1, 7), (1.0, 12)):  # 7: half of 40 is for all three classes
        like = np.argsort(-density)[: round(400 * share)]
        prior = make()._replace(plausible=share)
        images = draws.sample(prior, SPEC, p, jax.random.key(0), LABELS, "margin")
        rows = of_the_pool(np.round(255 * images).astype(np.uint8))
        for k in range(3):
            best = like[np.argsort(-score[like, k])[:count]]
            mine = rows[k::3]
            assert set(mine[:count]) == set(mine) == set(best)


def test_classes_of_a_small_pool_are_drawn_from_images_of_their_own():
    # 300 images at least for each class: all classes of a pool of 1,000 were given the same.
    rng = np.random.default_rng(0)
    codes = np.repeat(np.eye(3, 5), 334, axis=0) + 0.1 * rng.normal(size=(1002, 5))
    images = np.repeat(np.arange(1002), 64).reshape(-1, 8, 8, 1).astype(np.uint8)
    prior = make()._replace(images=images, codes=codes.astype(np.float32))
    release = {"means": np.eye(3, 5)[:, None], "weights": np.ones((3, 1))}
    release["roots"] = np.repeat(0.3 * np.eye(5)[None], 3, axis=0)
    for k, best in enumerate(draws.clearest(prior, release, False)):
        assert len(best) == 167
        assert (best // 334 == k).all()


def test_the_default_is_a_public_rule():
    prior = make()
    assert draws.default(prior) == "varied"
    assert draws.default(prior._replace(vary=None)) == draws.default(prior, 2) == "half"
    assert draws.default(prior._replace(space=prior.space._replace(decode=None))) == "margin"
