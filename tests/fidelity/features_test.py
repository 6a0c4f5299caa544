"""fpu/fidelity/features.py: standardised features of a trained and of an untrained network."""

import numpy as np
from toy import digits

from fpu.fidelity import features
from fpu.utility import classifier


def separation(x, labels):
    """Variance between the classes' means over that within."""
    means = np.stack([x[labels == k].mean(0) for k in range(10)])
    return means.var(0).sum() / ((x - means[labels]) ** 2).mean(0).sum()


def test_features_are_standardised_on_scale():
    images, _ = digits()
    embed = features.random((8, 8, 1), 10, seed=0, scale=images[:300])
    found = embed(images[:300])
    assert (found.shape, found.dtype) == ((300, classifier.FEATURES), np.float64)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-6)
    np.testing.assert_array_equal(embed(images[5:6]), embed(images[:9])[5:6])


def test_a_trained_network_tells_classes_apart_and_hands_back_itself():
    images, labels = digits()
    real = images[:600]
    embed, params = features.domain(real, labels[:600], 10, seed=0, steps=60, scale=real)
    untrained = features.random((8, 8, 1), 10, seed=0, scale=images[:600])
    new, theirs = images[600:1200], labels[600:1200]
    assert separation(embed(new), theirs) > 1.3 * separation(untrained(new), theirs)
    assert (classifier.logits(params, new).argmax(1) == theirs).mean() > 0.8


def test_constant_images_do_not_divide_by_zero():
    flat = np.full((50, 8, 8, 1), 7, np.uint8)
    found = features.random((8, 8, 1), 3, seed=0, scale=flat)(flat)
    np.testing.assert_allclose(found, 0, atol=1e-5)
