"""fpu/priors/matched.py: which of a model's images are kept, against brute force over all assignments."""

import itertools

import jax
import jax.numpy as jnp
import linear_prior
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpu.priors import draws, matched

LABELS = np.array([0, 2, 0, 1])


def params():
    means = np.random.default_rng(0).normal(size=(3, 1, 5))
    return {"means": means, "weights": np.ones((3, 1)), "roots": np.stack([0.3 * np.eye(5)] * 3)}


def drawn(key, labels):
    codes = jax.random.normal(key, (len(labels), 5))
    return jnp.asarray(linear_prior.decode(codes), jnp.float32) / 255


def kept(draw=drawn, labels=LABELS, release=None):
    key, release = jax.random.key(3), release or params()
    return np.asarray(matched.sample(linear_prior.make(), release, draw, key, labels))


def test_images_of_each_class_are_the_assignment_nearest_in_all():
    calls = []

    def watched(key, labels):
        np.testing.assert_array_equal(labels, LABELS)
        calls.append(np.asarray(drawn(key, labels)))
        return calls[-1]

    images = kept(watched)
    assert (len(calls), images.shape) == (matched.FACTOR, (4, 8, 8, 1))
    assert images.dtype == np.float32
    release = {name: np.asarray(x, np.float32) for name, x in params().items()}
    z = draws.codes(release, jax.random.split(jax.random.key(3), 1 + matched.FACTOR)[0], LABELS)
    for k in range(3):
        (rows,) = np.where(np.isin(LABELS, k))
        candidates = np.concatenate([call[rows] for call in calls])
        codes = linear_prior.encode(np.round(255 * candidates))
        orders = itertools.permutations(range(len(candidates)), len(rows))
        best = min(orders, key=lambda order: np.square(codes[list(order)] - z[rows]).sum())
        np.testing.assert_array_equal(images[rows], candidates[list(best)])


def test_the_key_settles_the_images_and_none_is_kept_twice():
    labels = np.zeros(40, int)
    images = kept(labels=labels)
    np.testing.assert_array_equal(images, kept(labels=labels))
    assert len(np.unique(images.reshape(40, -1), axis=0)) == 40


def test_a_model_that_mixes_its_classes_up_is_put_right():
    means = params()["means"][:, 0]

    def mixed(key, labels):  # a third of the images are of each class, whatever the label
        return jnp.asarray(linear_prior.decode(means[jax.random.permutation(key, labels)]) / 255.0)

    labels = np.repeat(np.arange(3), 30)
    codes = linear_prior.encode(np.round(255 * kept(mixed, labels)))
    nearest = codes[:, None] - linear_prior.encode(linear_prior.decode(means))
    assert (np.square(nearest).sum(2).argmin(1) == labels).mean() > 0.85


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_tones_give_a_smooth_model_the_grey_levels_of_its_draws(seed, power):
    rng = np.random.default_rng(seed)
    drawn = np.where(rng.random(20_000) < 0.8, 0, rng.integers(0, 256, 20_000)).astype(np.uint8)
    smooth = np.round(255 * (np.sort(drawn) / 255) ** (1 / power) * 0.9 + 9).astype(np.uint8)
    tones = matched.tones(matched.histogram(smooth), matched.histogram(drawn))
    assert (tones.shape, tones.dtype) == ((256,), np.float32)
    assert (np.diff(tones) >= 0).all()
    assert tones.min() >= 0
    assert tones.max() <= 1
    values, counts = np.unique(smooth, return_counts=True)
    middle = np.ceil(np.cumsum(counts) - counts / 2).astype(
        int
    )  # rank of the middle pixel of each level
    oracle = np.sort(drawn)[middle - 1]
    np.testing.assert_array_equal(np.round(255 * tones[values]), oracle)


def test_no_tone_is_darker_or_lighter_than_all_of_the_draws():
    model, drawn = (
        np.bincount(range(60, 256), minlength=256),
        np.bincount(range(90, 241), minlength=256),
    )
    tones = np.round(255 * matched.tones(model, drawn))
    assert (tones.min(), tones.max()) == (90, 240)


def test_tones_of_equal_histograms_change_nothing():
    levels = np.random.default_rng(0).integers(1, 9, 256)
    np.testing.assert_array_equal(
        np.round(255 * matched.tones(levels, levels)).astype(int), np.arange(256)
    )


def test_a_model_is_matched_by_its_images_in_the_tones_of_its_draws():
    tones = np.linspace(1, 0, 256, dtype=np.float32)  # a negative, to be seen
    images = kept(release=params() | {"tones": tones})
    negatives = kept(lambda key, labels: 1 - np.round(255 * drawn(key, labels)) / np.float32(255))
    np.testing.assert_allclose(images, negatives, atol=1e-6)


def test_images_that_are_not_finite_are_given_back_to_be_told_of():
    def broken(key, labels):
        return drawn(key, labels).at[1].set(jnp.nan)

    assert np.isnan(kept(broken)[1]).all()


@pytest.mark.parametrize(("decodes", "fits"), [(True, True), (False, False)])
def test_models_are_matched_where_draws_follow_codes(decodes, fits):
    prior = linear_prior.make()
    space = prior.space if decodes else prior.space._replace(decode=None)
    assert matched.fits(prior._replace(space=space)) == fits
    assert not matched.fits(None)
