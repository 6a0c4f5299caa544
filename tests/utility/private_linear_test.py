"""fpu/utility/private_linear.py: the noise of its plan is in its weights, and more eps buys accuracy."""

import math
import os

import jax
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits

from fpu import dp
from fpu.utility import private_features, private_linear

FREQUENCIES = private_features.of_frequencies((8, 8, 1))


def digits():
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order].astype(np.int32)


@pytest.fixture
def repeatable(monkeypatch):
    """Keys that a test can repeat; one more byte for each call."""
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))


def accuracy(eps):
    images, labels = digits()
    params = private_linear.train(images[:500], labels[:500], 10, eps, 1e-4, FREQUENCIES)
    return (
        private_linear.logits(params, images[500:], FREQUENCIES).argmax(1) == labels[500:]
    ).mean()


def test_more_eps_buys_accuracy(repeatable):
    little, much = accuracy(0.1), accuracy(10.0)
    assert little < 0.6
    assert much > 0.88


def test_the_weights_carry_the_noise_of_the_plan(repeatable):
    """Of grey images nothing but noise reaches a frequency: its size is known in closed form."""
    grey = np.full((200, 8, 8, 1), 128, np.uint8)
    params = private_linear.train(grey, np.arange(200) % 10, 10, 1.0, 1e-4, FREQUENCIES)
    sgd = dp.poisson_plan(200, 200, 100, 1e-4, eps=1.0).sgd()
    assert (sgd.sampling_rate, sgd.capacity) == (1, 200)
    left = np.arange(1, 101)  # steps after a draw, its own among them
    reach = np.sqrt(np.sum(((1 - 0.9**left) / (1 - 0.9)) ** 2))
    std = private_linear.learning_rate(sgd, FREQUENCIES) * sgd.noise_multiplier / 200 * reach
    kernel = np.asarray(params["kernel"])[1:]  # without the mean, which 128 / 255 is not quite
    assert kernel.std() == pytest.approx(std, rel=0.1)
    assert std == pytest.approx(0.4, rel=0.1)


def test_two_trainings_never_share_their_noise():
    images, labels = digits()
    a, b = (
        private_linear.train(images[:50], labels[:50], 10, 1.0, 1e-3, FREQUENCIES) for _ in range(2)
    )
    secret = jax.random.key(3)
    c, d = (
        private_linear.train(images[:50], labels[:50], 10, 1.0, 1e-3, FREQUENCIES, secret)
        for _ in "cd"
    )
    np.testing.assert_array_equal(c["kernel"], d["kernel"])
    assert np.abs(np.asarray(c["kernel"]) - np.asarray(a["kernel"])).max() > 0
    correlation = np.corrcoef(np.ravel(a["kernel"]), np.ravel(b["kernel"]))[0, 1]
    assert abs(correlation) < 0.5


def test_a_budget_without_a_plan_is_refused():
    images, labels = digits()
    with pytest.raises(ValueError, match="delta"):
        private_linear.train(images[:50], labels[:50], 10, 1.0, 0.5, FREQUENCIES)


def test_logits_are_linear_in_the_image_and_finite_without_any():
    images, _ = digits()
    params = {"kernel": np.ones((64, 3), np.float32), "bias": np.arange(3, dtype=np.float32)}
    logits = private_linear.logits(params, images[:5], FREQUENCIES)
    middle = private_linear.logits(params, np.full((1, 8, 8, 1), 100, np.uint8), FREQUENCIES)
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(softmax(logits, 1).sum(1), 1, rtol=1e-5)
    brighter = private_linear.logits(params, np.full((1, 8, 8, 1), 120, np.uint8), FREQUENCIES)
    twice = private_linear.logits(params, np.full((1, 8, 8, 1), 140, np.uint8), FREQUENCIES)
    np.testing.assert_allclose(brighter - middle, twice - brighter, rtol=1e-4)
    assert private_linear.logits(params, images[:0], FREQUENCIES).shape == (0, 3)


def test_the_learning_rate_falls_with_the_noise_and_has_a_limit():
    def rate(noise):
        return private_linear.learning_rate(dp.DPSGD(500, 1.0, 100, noise, 500), FREQUENCIES)

    assert rate(30.0) == pytest.approx(500 / (2500 * 3.0))
    assert rate(60.0) == pytest.approx(rate(30.0) / 2)
    assert rate(1e-2) == 1.0
    assert math.isfinite(rate(1e6))
