"""fpu/privacy/canary_scores.py: a set that holds the canary scores higher by each way to look; the fit."""

import numpy as np
from sklearn.linear_model import Ridge

from fpu.privacy import canary_scores


def synthetic(count, seed=0, side=6):
    rng = np.random.default_rng(seed)
    return rng.integers(90, 170, (count, side, side, 1), np.uint8), np.arange(count) % 3


CANARY = np.where(np.arange(36).reshape(1, 6, 6, 1) % 2, 255, 0).astype(np.uint8)


def test_a_set_with_the_canary_scores_higher_by_each_way_to_look():
    images, labels = synthetic(90)
    without = canary_scores.scores(CANARY, 1, images, labels)
    images[1] = CANARY[0]  # of class 1
    with_it = canary_scores.scores(CANARY, 1, images, labels)
    assert set(with_it) == {"nearest", "mean", "classifier"}
    assert all(with_it[name] > without[name] for name in with_it)
    assert with_it["nearest"] == 0


def test_the_margin_is_that_of_ridge_regression_whichever_way_is_shorter():
    for count in (20, 90):  # fewer and more than pixels
        images, labels = synthetic(count, seed=count)
        x = images.reshape(count, -1) - 127.5
        ridge = canary_scores._RIDGE * count * np.square(x).mean()
        fitted = Ridge(ridge, fit_intercept=False).fit(x, np.where(labels == 1, 1.0, -1.0))
        wanted = fitted.predict(CANARY.reshape(1, -1) - 127.5)[0]
        found = canary_scores.scores(CANARY, 1, images, labels)["classifier"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_class_that_is_absent_has_scores():
    images, labels = synthetic(30)
    found = canary_scores.scores(CANARY, 7, images, labels)
    assert all(np.isfinite(list(found.values())))
    assert found["mean"] == 0
