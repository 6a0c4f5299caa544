"""fpu/priors/brightness.py: the maps without noise, under much noise, and of images that leave nothing to divide by."""

import jax
import numpy as np
import pytest
from scipy.fft import dctn

from fpu.dp import rows
from fpu.priors import brightness

SHAPE = (12, 10, 3)


def images(count, seed, low=60, high=180):
    return np.random.default_rng(seed).integers(low, high, (count, *SHAPE)).astype(np.uint8)


DRAWN = [images(300, 0), images(400, 1, 80, 220)]


def fitted(private, labels, drawn=DRAWN, std=0.0, seed=0):
    key = jax.random.key(seed)
    return brightness.fit(private, labels, drawn, float(len(private)), key, std)


def members():
    """Images of the same two classes, with less contrast, and a shadow to one side that is deeper in the second."""
    own = np.concatenate([images(600, 2), images(300, 3, 80, 220)])
    sorted_labels = np.repeat([0, 1], [600, 300])
    means = brightness.maps(DRAWN).mean[sorted_labels]
    shadow = np.linspace(-0.15, 0.05, SHAPE[1])[None, None, :, None]
    shadow = shadow * (1 + sorted_labels)[:, None, None, None]
    pixels = means + shadow + 0.7 * (own / 255.0 - means)
    return np.round(255 * pixels).astype(np.uint8), sorted_labels


def low(maps, count):
    return dctn(maps, axes=(0, 1), norm="ortho")[:count, :count]


def test_without_noise_draws_are_as_bright_and_as_different_as_members_of_their_class(monkeypatch):
    monkeypatch.setattr(brightness, "RADIUS", 100.0)  # nothing is clipped
    private, labels = members()
    released = fitted(private, labels)
    assert released.shape == (2, 12 * 10 * 3 + 8 * 8 * 3)
    fresh = np.concatenate([images(600, 4), images(300, 5, 80, 220)])
    moved = brightness.moved(fresh, labels, DRAWN, released)
    for k in range(2):
        mean = brightness.maps(DRAWN).mean[k]
        found, wanted, plain = (x[labels == k] / 255.0 - mean for x in (moved, private, fresh))
        for of, count, atol in ((np.mean, 14, 0.05), (np.var, 8, 0.006)):
            np.testing.assert_allclose(
                low(of(found, 0), count), low(of(wanted, 0), count), atol=atol
            )
        assert np.abs(low((plain - wanted).mean(0), 8)).max() > 0.5


def test_terms_are_low_frequencies_of_each_image_alone():
    private, labels = members()
    of = brightness.maps(DRAWN)
    terms = brightness._terms(private, labels, of)
    residual = private[7] / 255.0 - of.mean[labels[7]]
    square = residual**2 - of.variance[labels[7]]
    wanted = np.concatenate([low(residual, 14).ravel(), low(square, 8).ravel()])
    np.testing.assert_allclose(terms[7], wanted, atol=1e-12)
    many = np.concatenate([private] * 2)
    assert len(many) > rows.CHUNK
    both = brightness._terms(many, np.concatenate([labels] * 2), of)
    np.testing.assert_array_equal(both[:900], terms)


def test_what_is_lost_in_noise_moves_nothing():
    private, labels = members()
    released = fitted(private, labels, std=1e6)
    assert np.isfinite(released).all()
    still = brightness.moved(private, labels, DRAWN, np.zeros_like(released))
    np.testing.assert_array_equal(still, private)


def test_less_noise_is_nearer():
    private, labels = members()
    exact = fitted(private, labels)

    def error(std):
        found = [fitted(private, labels, std=std, seed=seed) for seed in range(5)]
        return np.mean([np.linalg.norm(one - exact) for one in found])

    assert error(1.0) < error(10.0) < error(300.0)
    assert error(1e5) < 5 * np.linalg.norm(exact)  # the noise itself is thousands of times that


@pytest.mark.parametrize("shape", [(8, 8, 1), (3, 64, 1)])
def test_equal_images_and_small_sides(shape):
    drawn = [np.full((5, *shape), 7, np.uint8)] * 2
    private, labels = np.full((4, *shape), 255, np.uint8), np.array([0, 1, 1, 0])
    released = fitted(private, labels, drawn)
    moved = brightness.moved(drawn[0], np.zeros(5, int), drawn, released)
    assert np.isfinite(released).all()
    assert moved.shape == (5, *shape)
