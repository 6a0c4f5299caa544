"""fpu/crossfit.py: every image is judged by the copy that never saw it; what copies cannot know is not said."""

import numpy as np
import pytest
from scipy.special import softmax

from fpu import crossfit, neighbours

SHAPE, CLASSES, FOLDS = (8, 8, 1), 2, 4
LABELS = np.arange(60) % CLASSES  # of the images that copies draw


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """The nearest class mean for a classifier and pixels for features, which take no time."""

    def train(images, labels, n_classes, **_):
        return np.stack([neighbours.flat(images[labels == k]).mean(0) for k in range(n_classes)])

    def networks(params, images):
        distances = neighbours.flat(images)[:, None] - params[0]
        return softmax(-np.square(distances / 1e3).sum(-1), axis=1)[None]

    monkeypatch.setattr(crossfit.classifier, "train", train)
    monkeypatch.setattr(crossfit.metrics, "networks", networks)
    monkeypatch.setattr(crossfit.features, "random", lambda *_, **__: neighbours.flat)


def drawn(rng, labels):
    """Images of two classes that are easily told apart: the upper or the lower half is light."""
    images = rng.integers(0, 100, (len(labels), *SHAPE))
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 120
    return images.astype(np.uint8)


def members(n=40, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % CLASSES)
    fold = crossfit.folds(labels, FOLDS, rng)
    return crossfit.Members(drawn(rng, labels), labels, np.arange(n), fold, "image")


def judged(of, copies):
    return crossfit.judge(of, copies, LABELS, CLASSES, seed=0)


def test_folds_are_even_in_size_and_in_each_class():
    classes = np.array([0] * 57 + [1] * 60 + [2] * 3)
    fold = crossfit.folds(classes, 5, np.random.default_rng(0))
    for k in range(3):
        counts = np.bincount(fold[classes == k], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(fold)) <= 1


def test_images_like_the_members_are_useful_varied_and_not_attacked():
    rng = np.random.default_rng(7)
    said = judged(members(), [crossfit.Copy(drawn(rng, LABELS)) for _ in range(FOLDS)])
    assert (said["folds"], said["n"]) == (FOLDS, 40)
    accuracy = said["utility"]["synthetic"]["accuracy"]
    assert accuracy["value"] > 0.9
    assert accuracy["n"] == 40
    assert said["utility"]["members"]["accuracy"]["value"] > 0.9
    coverage, real = (said["fidelity"][row]["coverage"] for row in ("synthetic", "real"))
    assert coverage["high"] - coverage["low"] > 0.1
    assert coverage["low"] < real["value"] < 1
    assert said["attacks"]["nearest"]["auc"]["low"] < 0.5
    assert set(said["attacks"]) == {"nearest", "monte_carlo"}  # no other real image is at hand


def test_copies_that_hand_out_their_members_are_found():
    of = members()
    copies = []
    for k in range(FOLDS):
        images = np.zeros((len(LABELS), *SHAPE), np.uint8)
        for label in range(CLASSES):
            own = of.images[(of.fold != k) & (of.labels == label)]
            images[label == LABELS] = own[np.arange((label == LABELS).sum()) % len(own)]
        copies.append(crossfit.Copy(images))
    attack = judged(of, copies)["attacks"]["nearest"]["auc"]
    assert attack["value"] == 1.0
    assert attack["low"] > 0.9


def test_a_copys_own_scores_are_ranked_within_it():
    of, rng = members(), np.random.default_rng(1)
    images = drawn(rng, LABELS)

    def scores(k):  # each copy on a scale of its own, and high for whom it was trained on
        return lambda x, y: {"loss": 10.0**k * (rng.random(len(x)) + (of.fold != k))}

    copies = [crossfit.Copy(images, scores(k)) for k in range(FOLDS)]
    assert judged(of, copies)["attacks"]["loss"]["auc"]["value"] > 0.9


def test_too_few_images_say_nothing():
    rng = np.random.default_rng(2)
    said = judged(members(16), [crossfit.Copy(drawn(rng, LABELS)) for _ in range(FOLDS)])
    assert "16 real images" in said["fidelity"]["synthetic"]["coverage"]["reason"]
    assert said["attacks"]["nearest"]["auc"]["value"] is None


def test_copies_that_differ_widen_the_interval():
    pooled = {"value": 0.5, "low": 0.45, "high": 0.55}
    held = np.repeat(np.arange(5), 20)
    assert crossfit._design_effect(pooled, np.tile([True, False], 50), held) == 1.0
    apart = held >= 3  # three copies know nothing, two everything
    assert crossfit._widened(pooled, crossfit._design_effect(pooled, apart, held))["low"] == 0.0


def test_intervals_hold_the_accuracy_of_such_generators_95_times_in_100():
    rng, inside = np.random.default_rng(0), []
    held, z = np.arange(40) % 5, 1.96
    for _ in range(300):
        skill = np.clip(rng.normal(0.75, 0.1, 5), 0, 1)  # of each copy
        right = rng.random(40) < skill[held]
        value = right.mean()
        half = z * np.sqrt(max(value * (1 - value), 1e-3) / 40)
        pooled = {"value": value, "low": value - half, "high": value + half}
        m = crossfit._widened(pooled, crossfit._design_effect(pooled, right, held))
        inside.append(m["low"] <= 0.75 <= m["high"])
    assert np.mean(inside) > 0.93
