"""fpu/utility/metrics.py: scores against scikit-learn and medmnist, and the whole protocol on digits."""

import numpy as np
import pytest
import toy
from sklearn import metrics as sklearn_metrics

from fpu.utility import metrics


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
    assert whole(metrics.accuracy, p, y) == sklearn_metrics.accuracy_score(y, p.argmax(1))
    balanced = sklearn_metrics.balanced_accuracy_score(y, p.argmax(1))
    assert whole(metrics.balanced_accuracy, p, y) == pytest.approx(balanced)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("k", "task"), [(4, "multi-class"), (2, "binary-class")])
def test_auc_is_that_of_medmnist(k, task, ties, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    from medmnist.evaluator import getAUC

    p, y = guesses(k=k, ties=ties)
    assert whole(metrics.macro_auc, p, y) == pytest.approx(getAUC(y[:, None], p, task))


def test_recall_is_scikit_learns():
    p, y = guesses()
    found = metrics.judge(p[None], y, np.random.default_rng(0))["recall"]
    expected = sklearn_metrics.recall_score(y, p.argmax(1), average=None)
    assert [found[str(k)]["value"] for k in range(4)] == pytest.approx(list(expected))
    assert [found[str(k)]["n"] for k in range(4)] == np.bincount(y).tolist()


@pytest.mark.parametrize("ties", [False, True])
def test_calibration_error_is_that_of_its_definition(ties):
    p, y = guesses(ties=ties)
    p[:5], p[5:9] = np.eye(4)[y[:5]], 0.25  # certain, and undecided
    total = 0.0
    for b in range(15):
        inside = [i for i in range(len(y)) if b / 15 < p[i].max() <= (b + 1) / 15]
        if inside:
            confidence = np.mean([p[i].max() for i in inside])
            right = np.mean([p[i].argmax() == y[i] for i in inside])
            total += len(inside) / len(y) * abs(right - confidence)
    assert whole(metrics.calibration_error, p, y) == pytest.approx(total)


@pytest.mark.parametrize("k", [2, 4])
def test_brier_is_scikit_learns(k):
    p, y = guesses(k=k)
    if k == 2:
        expected = 2 * sklearn_metrics.brier_score_loss(y, p[:, 1])
    else:
        each = [sum((p[i, c] - (y[i] == c)) ** 2 for c in range(k)) for i in range(len(y))]
        expected = np.mean(each)
    assert whole(metrics.brier, p, y) == pytest.approx(expected)


def test_a_calibrated_classifier_may_have_a_calibration_error_of_zero():
    rng, reached, above = np.random.default_rng(0), 0, 0
    for _ in range(20):
        z = 3 * rng.standard_normal((400, 5))
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        y = (p.cumsum(1) > rng.random((400, 1))).argmax(1)  # drawn from p: the true error is 0
        found = metrics.judge(p[None], y, rng)["ece"]
        reached += found["low"] == 0
        above += found["value"] > 0.02  # chance alone
    assert reached >= 17
    assert above == 20


def test_a_classifier_that_is_too_sure_is_found_out():
    p, y = guesses(n=1000)
    sure = p**4 / (p**4).sum(1, keepdims=True)
    mild, found = (metrics.judge(q[None], y, np.random.default_rng(0)) for q in (p, sure))
    assert found["ece"]["low"] > 0.02
    for name, each in metrics.UTILITY.items():
        if each.better == "lower":
            assert found[name]["value"] > mild[name]["value"]
    assert found["accuracy"]["value"] == mild["accuracy"]["value"]


@pytest.mark.parametrize("name", metrics.UTILITY)
def test_a_weight_is_a_repetition(name):
    p, y = guesses(n=80, ties=True)
    times = np.random.default_rng(1).integers(0, 4, 80)
    metric = metrics.UTILITY[name].statistic
    repeated = whole(metric, np.repeat(p, times, 0), np.repeat(y, times))
    assert whole(metric, p, y, times.astype(float)) == pytest.approx(repeated)


def test_intervals_are_the_binomial_ones():
    p, y = guesses(n=400)
    found = metrics.judge(p[None], y, np.random.default_rng(0))
    share = found["accuracy"]["value"]
    width = 2 * 1.96 * np.sqrt(share * (1 - share) / 400)
    assert found["accuracy"]["high"] - found["accuracy"]["low"] == pytest.approx(width, rel=0.15)
    for name in metrics.UTILITY:
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
        assert found[name]["n"] == 400


def test_several_seeds_are_averaged_and_widen_the_interval():
    p, y = guesses(n=400)
    worse = p.copy()
    worse[:120] = np.roll(worse[:120], 1, axis=1)
    one = metrics.judge(p[None], y, np.random.default_rng(0))["accuracy"]
    two = metrics.judge(np.stack([p, worse]), y, np.random.default_rng(0))["accuracy"]
    expected = (one["value"] + sklearn_metrics.accuracy_score(y, worse.argmax(1))) / 2
    assert two["value"] == pytest.approx(expected)
    assert two["high"] - two["low"] > 2 * (one["high"] - one["low"])


def reasons(found):
    recalls = found.pop("recall")
    return {m["reason"] for m in (*found.values(), *recalls.values())}


def test_what_cannot_be_said_is_missing():
    p, y = guesses(k=4)
    found = metrics.judge(p[None, y != 2], y[y != 2], np.random.default_rng(0))
    assert found["auc"]["reason"] == "the test set has no image of class 2"
    assert found["recall"]["2"] == found["auc"]
    assert found["recall"]["1"]["value"] is not None
    recalls = [(p[y == k].argmax(1) == k).mean() for k in (0, 1, 3)]
    assert found["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    p[0] = np.nan
    found = metrics.judge(p[None], y, np.random.default_rng(0))
    assert reasons(found) == {"the classifier's outputs are not finite"}
    nothing = np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int32)
    found = metrics.train_and_test(nothing, nothing, 2, seed=0)
    assert reasons(found) == {"there is no training image"}


def test_digits_teach_digits_and_a_lacking_class_costs_itself():
    images, labels = toy.digits()
    train, test = (images[:600], labels[:600]), (images[1200:], labels[1200:])
    full = metrics.train_and_test(train, test, 10, seed=0, steps=150)
    kept = labels[:600] != 3
    few = images[:600][kept], labels[:600][kept]
    lacking = metrics.train_and_test(few, test, 10, seed=0, steps=150)
    assert full["accuracy"]["value"] > 0.9
    assert full["auc"]["value"] > 0.99
    assert full["accuracy"]["value"] - 0.2 < lacking["accuracy"]["value"] < full["accuracy"]["low"]
    assert lacking["auc"]["value"] is not None
    assert lacking["recall"]["3"]["value"] == 0 < lacking["recall"]["3"]["high"] < 0.2
    assert lacking["recall"]["4"]["value"] > 0.7
