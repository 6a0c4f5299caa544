"""fpu/utility/private_classifier.py, private_means.py, private_features.py: the rule, neighbours, one image alone."""

import functools
import math

import jax
import numpy as np
import pytest
import release_checks
from sklearn.datasets import load_digits

from fpu import dp, priors
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


@functools.cache
def made():
    """Digits of nobody, as public images; some pixels for codes, and squares of all for the layer before them."""
    images, labels = digits()
    codes = encode(images[1000:])
    space = priors.Space(
        encode, None, lambda x: np.square(x.reshape(len(x), -1).astype(np.float32) / 255)
    )
    radius = 1.1 * float(np.median(np.linalg.norm(codes, axis=1)))
    within = priors.within(codes, labels[1000:])
    return priors.Prior("pixels", "1", "test", images[1000:], codes, space, radius, within, None)


@pytest.fixture
def prior():
    return made()


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


def test_a_member_tells_no_more_of_the_means_than_the_plan_accounts_for():
    """What noise is added to, with and without one image, in units of that noise; and the noise that was drawn."""
    images, labels = digits()
    others, budget = images[:49] // 3, (1.0, 1e-3)  # codes well within the radius
    for one in (np.full((1, *SHAPE), 255, np.uint8), images[49:50], images[49:50] * 0):
        sets = (np.concatenate([one, others]), labels[[49, *range(49)]]), (others, labels[:49])
        with release_checks.seen() as calls:
            for members in sets:
                private_means.train(*members, 10, *budget, made(), jax.random.key(0), n=50)
        (both, std, noised), (less, *_) = calls
        moved = np.linalg.norm(both - less) / std
        assert moved > 0
        assert dp.Plan(budget[1], (dp.Release(1 / moved),)).epsilon() <= budget[0]
        drawn = np.concatenate([np.ravel(x) for x in noised]) - both
        assert drawn.std() == pytest.approx(std, rel=0.3)
    assert dp.Plan(budget[1], (dp.Release(std),)).epsilon() > 0.99 * budget[0]


def test_noise_and_denominators_follow_from_the_public_number(monkeypatch):
    """Not from how many images there are; more than the public number are refused."""
    (images, labels), seen = digits(), []
    monkeypatch.setattr(
        release, "fit", lambda prior, spec, members, *rest: seen.append((len(members.sizes), *rest))
    )
    private_classifier.choose(made(), 60, 10, 1.0, 1e-3, SHAPE).train(images[:50], labels[:50])
    ((count, denominator, noise, _),) = seen
    assert (count, denominator, noise) == (50, 60.0, private_means.noise(60, 1.0, 1e-3))

    plans, real = [], dp.poisson_plan
    monkeypatch.setattr(dp, "poisson_plan", lambda *a, **b: plans.append(a[:2]) or real(*a, **b))
    way = private_classifier.choose(None, 60, 10, 1.0, 1e-3, SHAPE)
    params = way.train(images[:50], labels[:50])
    assert plans == [(60, 60)]
    assert np.isfinite(way.logits(params, images[:5])).all()
    with pytest.raises(ValueError, match="n = 60 units, but the mask has 61"):
        way.train(images[:61], labels[:61])


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
