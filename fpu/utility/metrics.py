"""What a classifier is worth on a test set: its metrics, each with an interval.

UTILITY: name -> Metric. Its function takes (probabilities [n, K], labels [n]) and returns
statistic(weights [b, n]) -> [b], the metric with image i counted weights[:, i] times (see
intervals.bootstrap). fpu/utility/protocols.py says which classifiers are judged.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from fpu.intervals import bootstrap, metric, missing, percentile
from fpu.utility import classifier

BINS = 15  # of the calibration error


def accuracy(probabilities, labels):
    """The share of images whose most probable class is theirs."""
    right = (probabilities.argmax(1) == labels).astype(float)
    return lambda weights: weights @ right / weights.sum(1)


def recall(probabilities, labels, k):
    """The share found of class k, which must be present."""
    own = (labels == k).astype(float)
    found = own * (probabilities.argmax(1) == k)
    return lambda weights: weights @ found / (weights @ own)


def balanced_accuracy(probabilities, labels):
    """The mean over the classes present of the share found of each."""
    each = [recall(probabilities, labels, k) for k in np.unique(labels)]
    return lambda weights: np.mean([found(weights) for found in each], axis=0)


def binary_auc(scores, positive):
    """Area under the ROC curve of scores [n] for booleans [n]; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # one per distinct score
    positive = positive[order]

    def statistic(weights):
        weights = np.take(weights, order, axis=1)  # much quicker than weights[:, order]
        up = np.add.reduceat(weights * positive, starts, axis=1)
        down = np.add.reduceat(weights, starts, axis=1) - up
        below = np.cumsum(down, axis=1) - down / 2
        return np.einsum("bi,bi->b", up, below) / (up.sum(1) * down.sum(1))

    return statistic


def macro_auc(probabilities, labels):
    """The mean over classes of the one-against-rest AUC, as medmnist.evaluator.getAUC has it.

    Of two classes the last alone is taken: they are the same but for ties that rounding makes.
    """
    n_classes = probabilities.shape[1]
    classes = [1] if n_classes == 2 else range(n_classes)
    each = [binary_auc(probabilities[:, k], labels == k) for k in classes]
    return lambda weights: np.mean([auc(weights) for auc in each], axis=0)


def calibration_error(probabilities, labels):
    """ECE (arXiv:1706.04599, eq. 3): how far confidence is from accuracy, in 15 bins of equal width.

    Bin b holds the images whose top probability is in (b / 15, (b + 1) / 15]. The sum over bins of
    |images right - their top probabilities summed|, over n.
    """
    top = probabilities.max(1)
    excess = (probabilities.argmax(1) == labels) - top
    bins = np.eye(BINS)[np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)]
    return lambda weights: np.abs((weights * excess) @ bins).sum(1) / weights.sum(1)


def brier(probabilities, labels):
    """The mean over images of the squared distance from the probabilities to the truth, in [0, 2].

    Summed over the classes, as G. W. Brier (1950) has it; of two classes, twice the binary score.
    """
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    squares = np.square(probabilities - truth).sum(1)
    return lambda weights: weights @ squares / weights.sum(1)


def _of_chance(value, replicates, n):
    """The interval of a calibration error, which chance makes too large, of a resample twice over.

    Up to the percentile of the resamples; down by the reflected length and by twice the bias more.
    Measured on classifiers of known calibration, this covers the truth in 83 to 99 cases of 100 at
    n = 100 and 95 to 100 at n = 1,000; percentiles alone never cover that of a calibrated one.
    """
    high = np.percentile(replicates, 97.5)
    bias = max(0.0, replicates.mean() - value)
    low = value - (high - value) - 2 * bias
    return metric(value, max(0.0, min(low, value)), min(1.0, max(high, value)), n)


def _of_two(value, replicates, n):
    """The percentile interval of a number in [0, 2]."""
    half = percentile(value / 2, replicates / 2, n)
    return metric(value, 2 * half["low"], 2 * half["high"], n)


class Metric(NamedTuple):
    """A metric's function, which way is better, and its interval (value, replicates, n) -> metric."""

    statistic: Callable
    better: str = "higher"
    interval: Callable = percentile


UTILITY = {
    "accuracy": Metric(accuracy),
    "balanced_accuracy": Metric(balanced_accuracy),
    "auc": Metric(macro_auc),
    "ece": Metric(calibration_error, "lower", _of_chance),
    "brier": Metric(brier, "lower", _of_two),
}


def judge(probabilities, labels, rng):
    """The metrics of one or more classifiers on one test set.

    Args:
      probabilities: float [S, n, K], n >= 1, one row per classifier seed.
      labels: ints [n].
      rng: numpy Generator.

    Returns: {name: metric}, and under 'recall' {class index as str: metric}: the mean over the S
    seeds. The interval resamples the test images class by class, and the seeds where there are
    several; the training images are taken as given.
    """
    seeds, n, n_classes = probabilities.shape
    counts = np.bincount(labels, minlength=n_classes)
    if not np.isfinite(probabilities).all():
        return nothing(n_classes, "the classifier's outputs are not finite")
    absent = {k: missing(f"the test set has no image of class {k}") for k in range(n_classes)}
    held = UTILITY | {k: Metric(functools.partial(recall, k=k)) for k in np.flatnonzero(counts)}
    if not counts.all():
        del held["auc"]
    value, replicates = bootstrap(_all(held.values(), probabilities, labels), labels, rng)
    picked = rng.integers(seeds, size=(len(replicates), 1, seeds))
    replicates = np.take_along_axis(replicates, picked, axis=2).mean(2)
    found = {"auc": absent[int(counts.argmin())]}
    for i, (name, each) in enumerate(held.items()):
        images = n if name in UTILITY else counts[name]
        found[name] = each.interval(value[i].mean(), replicates[:, i], images)
    recalls = {str(k): found.get(k, absent[k]) for k in range(n_classes)}
    return {name: found[name] for name in UTILITY} | {"recall": recalls}


def nothing(n_classes, reason):
    """What `judge` returns where there is no number, for one reason."""
    every = dict.fromkeys(UTILITY, missing(reason))
    return every | {"recall": {str(k): missing(reason) for k in range(n_classes)}}


def _all(metrics, probabilities, labels):
    """One statistic [b, M, S] of the M metrics of the S classifiers."""
    each = [[m.statistic(p, labels) for p in probabilities] for m in metrics]
    return lambda weights: np.stack(
        [np.stack([statistic(weights) for statistic in row], axis=1) for row in each], axis=1
    )


def networks(params, images):
    """Probabilities [S, n, K] of trained networks, a list of their parameters, on images."""
    logits = np.stack([classifier.logits(p, images) for p in params])
    return softmax(logits.astype(np.float64), axis=-1)


def train_and_test(train, test, n_classes, *, seed, seeds=1, steps=classifier.STEPS):
    """Train `seeds` networks on one set and judge them on another.

    Args:
      train, test: (uint8 images [n, H, W, C], int labels [n]); test is never used to choose.
      seed: public; network i takes seed + i.

    Returns: {name: metric}, as `judge`.
    """
    if len(train[0]) == 0 or len(test[0]) == 0:
        which = "training" if len(train[0]) == 0 else "test"
        return nothing(n_classes, f"there is no {which} image")
    params = classifier.train_all(*train, n_classes, seeds=range(seed, seed + seeds), steps=steps)
    return judge(networks(params, test[0]), test[1], np.random.default_rng(seed))
