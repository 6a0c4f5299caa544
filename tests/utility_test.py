"""fpu/utility.py: scores against scikit-learn and medmnist, and the whole protocol on digits."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_digits

from fpu import utility


def guesses(n=300, k=4, seed=0, ties=False):
    """Probabilities [n, k] that are right more often than not, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.standard_normal((n, k)) + 1.5 * (labels[:, None] == np.arange(k))
    logits = np.round(logits) if ties else logits
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def whole(metric, probabilities, labels, weights=None):
    weights = np.ones(len(labels)) if weights is None else weights
    return metric(probabilities, labels)(weights[None])[0]


def test_accuracies_are_scikit_learns():
    p, y = guesses()
    assert whole(utility.accuracy, p, y) == metrics.accuracy_score(y, p.argmax(1))
    assert whole(utility.balanced_accuracy, p, y) == pytest.approx(
        metrics.balanced_accuracy_score(y, p.argmax(1))
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("k", "task"), [(4, "multi-class"), (2, "binary-class")])
def test_auc_is_that_of_medmnist(k, task, ties, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    from medmnist.evaluator import getAUC

    p, y = guesses(k=k, ties=ties)
    assert whole(utility.macro_auc, p, y) == pytest.approx(getAUC(y[:, None], p, task))


@pytest.mark.parametrize("name", utility.UTILITY)
def test_a_weight_is_a_repetition(name):
    p, y = guesses(n=80, ties=True)
    times = np.random.default_rng(1).integers(0, 4, 80)
    repeated = whole(utility.UTILITY[name], np.repeat(p, times, 0), np.repeat(y, times))
    weighted = whole(utility.UTILITY[name], p, y, times.astype(float))
    assert weighted == pytest.approx(repeated)


def test_intervals_are_the_binomial_ones():
    p, y = guesses(n=400)
    found = utility.judge(p[None], y, np.random.default_rng(0))
    share = found["accuracy"]["value"]
    width = 2 * 1.96 * np.sqrt(share * (1 - share) / 400)
    assert found["accuracy"]["high"] - found["accuracy"]["low"] == pytest.approx(width, rel=0.15)
    for metric in found.values():
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["n"] == 400


def test_several_seeds_are_averaged_and_widen_the_interval():
    p, y = guesses(n=400)
    worse = p.copy()
    worse[:120] = np.roll(worse[:120], 1, axis=1)
    one = utility.judge(p[None], y, np.random.default_rng(0))["accuracy"]
    two = utility.judge(np.stack([p, worse]), y, np.random.default_rng(0))["accuracy"]
    expected = (one["value"] + metrics.accuracy_score(y, worse.argmax(1))) / 2
    assert two["value"] == pytest.approx(expected)
    assert two["high"] - two["low"] > 2 * (one["high"] - one["low"])


def test_what_cannot_be_said_is_missing():
    p, y = guesses(k=4)
    found = utility.judge(p[None, y != 2], y[y != 2], np.random.default_rng(0))
    assert found["auc"]["reason"] == "the test set has no image of class 2"
    recalls = [(p[y == k].argmax(1) == k).mean() for k in (0, 1, 3)]
    assert found["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    p[0] = np.nan
    found = utility.judge(p[None], y, np.random.default_rng(0))
    assert {m["reason"] for m in found.values()} == {"the classifier's outputs are not finite"}
    nothing = np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int32)
    found = utility.train_and_test(nothing, nothing, 2, seed=0)
    assert {m["reason"] for m in found.values()} == {"there is no training image"}


def test_digits_teach_digits_and_a_lacking_class_costs_itself():
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, test = (images[:600], labels[:600]), (images[1200:], labels[1200:])
    full = utility.train_and_test(train, test, 10, seed=0, steps=150)
    kept = labels[:600] != 3
    lacking = utility.train_and_test(
        (images[:600][kept], labels[:600][kept]), test, 10, seed=0, steps=150
    )
    assert full["accuracy"]["value"] > 0.9
    assert full["auc"]["value"] > 0.99
    assert full["accuracy"]["value"] - 0.2 < lacking["accuracy"]["value"] < full["accuracy"]["low"]
    assert lacking["auc"]["value"] is not None
