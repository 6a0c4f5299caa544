"""fpu/utility/private_classifier.py, private_features.py: the rule, neighbours, units, noise, one image alone."""

import functools
import math
import os

import jax
import numpy as np
import pytest
import release_checks
from scipy.special import softmax
from toy import digits

from fpu import dp, priors
from fpu.dp import noise
from fpu.models import Spec
from fpu.priors import release
from fpu.utility import private_classifier, private_features

SHAPE = (8, 8, 1)
FREQUENCIES = private_features.of_frequencies(SHAPE)


def encode(images):
    return images.reshape(len(images), -1).astype(np.float32)[:, 10:54:4] / 255


@functools.cache
def prior():
    """Digits of nobody, as public images; some pixels for codes, and squares of all for the layer before them."""
    images, labels = digits()
    codes = encode(images[1000:])
    space = priors.Space(encode, None, lambda x: np.square(np.float32(x.reshape(len(x), -1)) / 255))
    radius = 1.1 * float(np.median(np.linalg.norm(codes, axis=1)))
    within = priors.within(codes, labels[1000:])
    return priors.Prior("pixels", "1", "test", images[1000:], codes, space, radius, within, None)


def chosen(public, n, eps=1.0):
    return private_classifier.choose(public, n, 10, eps, 1e-6, SHAPE).name


def test_the_rule_is_of_public_numbers():
    assert chosen(None, 60_000) == "linear in frequencies of the image"
    assert chosen(prior(), 1000) == "nearest noised class mean in the space of pixels"
    assert chosen(prior(), 60_000).startswith(
        "linear in codes in the space of pixels and the layer"
    )
    with pytest.raises(ValueError, match="delta"):
        private_classifier.choose(prior(), 100, 10, 1.0, 0.5, SHAPE)


@pytest.mark.parametrize("many", [False, True])
def test_it_learns_and_its_noise_is_its_own(many, monkeypatch):
    monkeypatch.setattr(release, "ROOM", 0.0 if many else np.inf)
    images, labels = digits()
    way = private_classifier.choose(prior(), 800, 10, 5.0, 1e-5, SHAPE)
    if not many:
        assert "nearest" in way.name
    monkeypatch.setattr(release, "ROOM", np.inf)
    members = images[:800], labels[:800]
    runs = [way.train(*members, secret=jax.random.key(1)) for _ in range(2)]
    others = [way.train(*members) for _ in range(2)]
    same, again, *fresh = (way.logits(params, images[800:1000]) for params in (*runs, *others))
    assert (same.argmax(1) == labels[800:1000]).mean() > 0.6
    np.testing.assert_array_equal(same, again)
    assert len(np.unique([same, *fresh], axis=0)) == 3  # no two share their noise
    assert way.logits(others[0], images[:0]).shape == (0, 10)


def test_features_of_an_image_are_its_own():
    """To the last bit, whoever else is there: else the term of one image would move those of others."""
    images, _ = digits()
    for features in (private_features.of_prior(prior()), private_features.of_frequencies(SHAPE)):
        alone, among = features.encode(images[5:6]), features.encode(images[:1200])
        np.testing.assert_array_equal(alone[0], among[5])
    assert (
        np.linalg.norm(private_features.of_prior(prior()).encode(images), axis=1).max() <= 1 + 1e-6
    )


def test_a_member_tells_no_more_of_the_means_than_the_plan_accounts_for():
    """What noise is added to, with and without one unit, in units of that noise; and the noise that was drawn."""
    images, labels = digits()
    others, budget = images[:49] // 3, (1.0, 1e-3)  # codes well within the radius
    way = private_classifier.nearest_mean(prior(), 50, Spec(SHAPE, 10), *budget)
    alone = np.arange(49)[:, None], np.ones(49, int)
    group = np.concatenate([np.repeat(alone[0], 3, 1), [[49, 50, 51]]]), np.append(alone[1], 3)
    for one in (np.full((1, *SHAPE), 255, np.uint8), images[49:50], images[49:50] * 0):
        both = np.concatenate([others, one, 255 - one, images[50:51]])
        for count, units in ((50, None), (52, group)):  # one image more, or one group of three
            with release_checks.seen() as calls:
                way.train(both[:count], labels[:count], units, jax.random.key(0))
                way.train(others, labels[:49], units and alone, jax.random.key(0))
            (total, std, noised), (less, *_) = calls
            moved = np.linalg.norm(total - less) / std
            assert moved > 0
            assert dp.Plan(budget[1], (dp.Release(1 / moved),)).epsilon() <= budget[0]
            drawn = np.concatenate([np.ravel(x) for x in noised]) - total
            assert drawn.std() == pytest.approx(std, rel=0.3)
    assert dp.Plan(budget[1], (dp.Release(std),)).epsilon() > 0.99 * budget[0]


@pytest.mark.parametrize("steps", [1, 60])
def test_a_unit_gives_one_of_its_images_to_each_sum(steps, monkeypatch):
    """Image i alone moves row i of the weights here. One step uses one image of each group, 60 steps all of them."""
    monkeypatch.setattr(noise, "gaussian", lambda tree, key, std: tree)
    units = np.array([[0, 1, 2], [3, 4, 3], [5, 5, 5]]), np.array([3, 2, 1])
    features = FREQUENCIES._replace(encode=lambda images: np.eye(6, dtype=np.float32), steps=steps)
    way = private_classifier.linear(features, 4, 2, 1.0, 1e-3)
    images = np.zeros((6, *SHAPE), np.uint8)
    params = way.train(images, [0, 0, 0, 1, 1, 0], units, jax.random.key(0))
    used = np.abs(params["kernel"]).max(1) > 0
    assert [used[:3].sum(), used[3:5].sum(), used[5]] == ([1, 1, 1] if steps == 1 else [3, 2, 1])
    if steps == 1:  # each term of norm 1, over the public n = 4
        sgd = dp.poisson_plan(4, 4, 1, 1e-3, eps=1.0).sgd()
        rate = private_classifier.learning_rate(sgd, features)
        lengths = np.linalg.norm(np.asarray(params["kernel"])[used], axis=1)
        np.testing.assert_allclose(lengths, rate / 4 * 0.5**0.5, rtol=1e-4)  # the bias has the rest


def test_noise_and_denominators_follow_from_the_public_number(monkeypatch, calls_of):
    """Not from how many images there are; more than the public number are refused."""
    (images, labels), seen = digits(), []
    monkeypatch.setattr(
        release, "fit", lambda prior, spec, members, *rest: seen.append((len(members.sizes), *rest))
    )
    private_classifier.choose(prior(), 60, 10, 1.0, 1e-3, SHAPE).train(images[:50], labels[:50])
    ((count, denominator, noise, _),) = seen
    assert (count, denominator, noise) == (50, 60.0, private_classifier.noise(60, 1.0, 1e-3))

    plans = calls_of(dp, "poisson_plan")
    way = private_classifier.choose(None, 60, 10, 1.0, 1e-3, SHAPE)
    params = way.train(images[:50], labels[:50])
    assert [call.args[:2] for call in plans] == [(60, 60)]
    assert np.isfinite(way.logits(params, images[:5])).all()
    with pytest.raises(ValueError, match="n = 60 units, but the mask has 61"):
        way.train(images[:61], labels[:61])


def test_a_budget_without_a_plan_is_refused():
    (images, labels), spec = digits(), Spec(SHAPE, 10)
    means = private_classifier.nearest_mean(prior(), 50, spec, 1.0, 0.5)
    for way in (means, private_classifier.linear(FREQUENCIES, 50, 10, 1.0, 0.5)):
        with pytest.raises(ValueError, match="delta"):
            way.train(images[:50], labels[:50])


@pytest.fixture
def repeatable(monkeypatch):
    """Keys that a test can repeat; one more byte for each call."""
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))


def accuracy(eps):
    images, labels = digits()
    way = private_classifier.linear(FREQUENCIES, 500, 10, eps, 1e-4)
    params = way.train(images[:500], labels[:500])
    return (way.logits(params, images[500:]).argmax(1) == labels[500:]).mean()


def test_more_eps_buys_accuracy(repeatable):
    little, much = accuracy(0.1), accuracy(10.0)
    assert little < 0.6
    assert much > 0.88


def test_the_weights_carry_the_noise_of_the_plan(repeatable):
    """Of grey images nothing but noise reaches a frequency: its size is known in closed form."""
    grey = np.full((200, 8, 8, 1), 128, np.uint8)
    way = private_classifier.linear(FREQUENCIES, 200, 10, 1.0, 1e-4)
    params = way.train(grey, np.arange(200) % 10)
    sgd = dp.poisson_plan(200, 200, 100, 1e-4, eps=1.0).sgd()
    assert (sgd.sampling_rate, sgd.capacity) == (1, 200)
    left = np.arange(1, 101)  # steps after a draw, its own among them
    reach = np.sqrt(np.sum(((1 - 0.9**left) / (1 - 0.9)) ** 2))
    std = private_classifier.learning_rate(sgd, FREQUENCIES) * sgd.noise_multiplier / 200 * reach
    kernel = np.asarray(params["kernel"])[1:]  # without the mean, which 128 / 255 is not quite
    assert (kernel.std(), std) == (pytest.approx(std, rel=0.1), pytest.approx(0.4, rel=0.1))


def test_logits_are_linear_in_the_image_and_finite_without_any():
    images, _ = digits()
    way = private_classifier.linear(FREQUENCIES, 50, 3, 1.0, 1e-3)
    params = {"kernel": np.ones((64, 3), np.float32), "bias": np.arange(3, dtype=np.float32)}
    logits = way.logits(params, images[:5])
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(softmax(logits, 1).sum(1), 1, rtol=1e-5)
    flat = (np.full((1, 8, 8, 1), grey, np.uint8) for grey in (100, 120, 140))
    middle, brighter, twice = (way.logits(params, image) for image in flat)
    np.testing.assert_allclose(brighter - middle, twice - brighter, rtol=1e-4)
    assert way.logits(params, images[:0]).shape == (0, 3)


def test_the_learning_rate_falls_with_the_noise_and_has_a_limit():
    for features in (private_features.of_prior(prior()), FREQUENCIES):

        def rate(noise, features=features):
            sgd = dp.DPSGD(500, 1.0, features.steps, noise, 500)
            return private_classifier.learning_rate(sgd, features)

        assert (rate(60.0), rate(1e-3)) == (pytest.approx(rate(30.0) / 2), features.fastest)
        assert math.isfinite(rate(1e6))
    assert rate(30.0) == pytest.approx(500 / (2500 * 3.0))
