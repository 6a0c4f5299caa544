"""fpu/utility/private_classifier.py, private_means.py, private_features.py: the rule, neighbours, one image alone."""

import math

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from fpu import dp, priors
from fpu.dp import moments
from fpu.priors import release
from fpu.utility import private_classifier, private_features, private_linear, private_means

SHAPE = (8, 8, 1)


def digits():
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order].astype(np.int32)


def encode(images):
    return images.reshape(len(images), -1).astype(np.float32)[:, 10:54:4] / 255


@pytest.fixture(scope="module")
def prior():
    """Digits of nobody, as public images; some pixels for codes, and squares of all for the layer before them."""
    images, labels = digits()
    codes = encode(images[1000:])
    space = priors.Space(
        encode, None, lambda x: np.square(x.reshape(len(x), -1).astype(np.float32) / 255)
    )
    radius = 1.1 * float(np.median(np.linalg.norm(codes, axis=1)))
    within = priors.within(codes, labels[1000:])
    return priors.Prior("pixels", "1", "test", images[1000:], codes, space, radius, within, None)


def chosen(prior, n, eps=1.0):
    return private_classifier.choose(prior, n, 10, eps, 1e-6, SHAPE).name


def test_the_rule_is_of_public_numbers(prior):
    assert chosen(None, 60_000) == "linear in frequencies of the image"
    assert chosen(prior, 1000) == "nearest noised class mean in the space of pixels"
    assert chosen(prior, 60_000).startswith("linear in codes in the space of pixels and the layer")
    with pytest.raises(ValueError, match="delta"):
        private_classifier.choose(prior, 100, 10, 1.0, 0.5, SHAPE)


@pytest.mark.parametrize("many", [False, True])
def test_it_learns_and_its_noise_is_its_own(prior, many, monkeypatch):
    monkeypatch.setattr(release, "components", lambda *_: 1 + many)
    images, labels = digits()
    way = private_classifier.choose(prior, 800, 10, 5.0, 1e-5, SHAPE)
    if not many:
        assert "nearest" in way.name
    monkeypatch.setattr(release, "components", lambda *_: 1)
    runs = [way.train(images[:800], labels[:800], jax.random.key(1)) for _ in range(2)]
    other = way.train(images[:800], labels[:800])
    logits = [way.logits(params, images[800:1000]) for params in (*runs, other)]
    assert (logits[0].argmax(1) == labels[800:1000]).mean() > 0.6
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 0
    assert way.logits(other, images[:0]).shape == (0, 10)


def test_features_of_an_image_are_its_own(prior):
    """To the last bit, whoever else is there: else the term of one image would move those of others."""
    images, _ = digits()
    for features in (private_features.of_prior(prior), private_features.of_frequencies(SHAPE)):
        alone, among = features.encode(images[5:6]), features.encode(images[:1200])
        np.testing.assert_array_equal(alone[0], among[5])
    assert np.linalg.norm(private_features.of_prior(prior).encode(images), axis=1).max() <= 1 + 1e-6


def test_a_member_moves_the_means_by_no_more_than_the_plan_accounts_for(prior, monkeypatch):
    """Noise off, with and without one image: the one sum that sees codes moves by at most 1."""
    sums, noises = [], []

    def caught(features, labels, n_classes, key, std):
        noises.append(std)
        u = moments._clipped(np.asarray(features, np.float64))
        hot = moments._one_hot(labels, n_classes)
        a = (1.0 - moments.COUNT**2) ** 0.5
        sums.append(np.concatenate([(a * hot.T @ u).ravel(), moments.COUNT * hot.sum(0)]))
        return a * hot.T @ u / a, hot.sum(0)

    monkeypatch.setattr(moments, "embeddings", caught)
    images, labels = digits()
    bright = np.full((1, *SHAPE), 255, np.uint8)
    with_one = np.concatenate([images[:49], bright]), labels[:50]
    private_means.train(*with_one, 10, 1.0, 1e-3, prior, jax.random.key(0))
    private_means.train(images[:49], labels[:49], 10, 1.0, 1e-3, prior, jax.random.key(0))
    assert len(sums) == 2
    assert 0.5 < np.linalg.norm(sums[0] - sums[1]) <= 1 + 1e-9
    plan = dp.Plan(1e-3, (dp.Release(noises[0]),))
    assert plan.epsilon() <= 1.0 < plan.epsilon() * 1.01


def test_a_budget_without_a_plan_is_refused(prior):
    images, labels = digits()
    with pytest.raises(ValueError, match="delta"):
        private_means.train(images[:50], labels[:50], 10, 1.0, 0.5, prior)


def test_the_learning_rate_falls_with_the_noise_and_has_a_limit(prior):
    features = private_features.of_prior(prior)

    def rate(noise):
        sgd = dp.DPSGD(500, 1.0, features.steps, noise, 500)
        return private_linear.learning_rate(sgd, features)

    assert rate(60.0) == pytest.approx(rate(30.0) / 2)
    assert rate(1e-3) == features.fastest
    assert math.isfinite(rate(1e6))
