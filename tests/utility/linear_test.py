"""fpu/utility/linear.py: the probe is scikit-learn's, on pixels, and never fails on poor data."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from toy import digits

from fpu.utility import linear


def test_it_is_logistic_regression_on_pixels_over_255():
    images, labels = digits()
    found = linear.probabilities((images[:300], labels[:300]), images[300:500], 10)
    flat = images.reshape(-1, 64) / 255.0
    expected = LogisticRegression(max_iter=500).fit(flat[:300], labels[:300])
    np.testing.assert_allclose(found, expected.predict_proba(flat[300:500]), atol=0.02)


def test_absent_classes_have_probability_zero_and_the_rest_adds_up():
    images, labels = digits()
    few = labels[:200] >= 8
    found = linear.probabilities((images[:200][few], labels[:200][few]), images[:50], 11)
    assert not found[:, [*range(8), 10]].any()
    np.testing.assert_allclose(found.sum(1), 1)
    one = linear.probabilities((images[:3], np.full(3, 4)), images[:50], 11)
    assert (one == np.eye(11)[4]).all()


def test_a_probe_that_has_not_converged_is_no_error():
    noise = np.random.default_rng(0).integers(0, 256, (300, 20, 20, 1)).astype(np.uint8)
    labels = np.random.default_rng(1).integers(0, 5, 300)
    assert np.isfinite(linear.probabilities((noise, labels), noise[:9], 5)).all()
