"""The metrics of a classifier on a test set, each with an interval.

UTILITY has one line per metric. To add one, write a function (probabilities [n, K], labels [n]) -> statistic and give
it a line. statistic(weights [b, n]) -> [b] is the metric with image i counted weights[:, i] times (see
intervals.bootstrap). Which classifiers are judged is in fpu/utility/protocols.py.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from fpu.intervals import bootstrap, inside, metric, missing, percentile
from fpu.utility import classifier

BINS = 15  # of the calibration error

Statistic = Callable[[np.ndarray], np.ndarray]  # weights [b, n] -> [b]


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """The share of images whose most probable class is theirs."""
    right = (probabilities.argmax(1) == labels).astype(float)
    return lambda weights: weights @ right / weights.sum(1)


def recall(probabilities: np.ndarray, labels: np.ndarray, k: int) -> Statistic:
    """The share of the images of class k that are classified so; one must be present."""
    positive = (labels == k).astype(float)
    right = positive * (probabilities.argmax(1) == k)
    return lambda weights: weights @ right / (weights @ positive)


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """The mean recall of the classes that are present."""
    recalls = [recall(probabilities, labels, k) for k in np.unique(labels)]
    return lambda weights: np.mean([one(weights) for one in recalls], axis=0)


def binary_auc(scores: np.ndarray, positive: np.ndarray) -> Statistic:
    """Area under the ROC curve of scores [n] for booleans [n]; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # one per distinct score
    positive = positive[order]

    def statistic(weights):
        weights = np.take(weights, order, axis=1)  # much quicker than weights[:, order]
        # Positives and negatives at each distinct score, and negatives below it.
        positives = np.add.reduceat(weights * positive, starts, axis=1)
        negatives = np.add.reduceat(weights, starts, axis=1) - positives
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(1) * negatives.sum(1)
        return np.einsum("bi,bi->b", positives, below) / pairs

    return statistic


def macro_auc(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """The mean over classes of the one-against-rest AUC, as medmnist.evaluator.getAUC computes it.

    Of two classes only the second is taken: the AUC of the first differs by rounding alone.
    """
    n_classes = probabilities.shape[1]
    classes = [1] if n_classes == 2 else range(n_classes)
    aucs = [binary_auc(probabilities[:, k], labels == k) for k in classes]
    return lambda weights: np.mean([auc(weights) for auc in aucs], axis=0)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """ECE (arXiv:1706.04599, eq. 3): how far confidence is from accuracy, in 15 bins of equal width.

    Bin b holds the images whose top probability is in (b / 15, (b + 1) / 15]. The sum over bins of
    |images right - their top probabilities summed|, over n.
    """
    top = probabilities.max(1)
    excess = (probabilities.argmax(1) == labels) - top
    bins = np.eye(BINS)[np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)]
    return lambda weights: np.abs((weights * excess) @ bins).sum(1) / weights.sum(1)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """The mean over images of the squared distance from the probabilities to the truth, in [0, 2].

    Summed over the classes, as G. W. Brier (1950) has it; of two classes, twice the binary score.
    """
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    squares = np.square(probabilities - truth).sum(1)
    return lambda weights: weights @ squares / weights.sum(1)


def _biased(value: float, replicates: np.ndarray, n: int) -> dict:
    """The interval of a calibration error, which chance makes too large, and twice as much too large in resamples.

    Upwards to the percentile of the resamples; downwards by as much, and by twice the bias more.
    Measured on classifiers of known calibration, this covers the truth in 83 to 99 cases of 100 at
    n = 100 and 95 to 100 at n = 1,000; percentiles alone never cover that of a calibrated one.
    """
    high = np.percentile(replicates, 97.5)
    bias = max(0.0, replicates.mean() - value)
    return inside(value, value - (high - value) - 2 * bias, high, n)


def _to_two(value: float, replicates: np.ndarray, n: int) -> dict:
    """The percentile interval of a number in [0, 2]."""
    half = percentile(value / 2, replicates / 2, n)
    return metric(value, 2 * half["low"], 2 * half["high"], n)


class Metric(NamedTuple):
    """One line of UTILITY."""

    statistic: Callable[..., Statistic]
    better: str = "higher"
    interval: Callable[..., dict] = percentile  # (value, replicates, n) -> metric


UTILITY = {
    "accuracy": Metric(accuracy),
    "balanced_accuracy": Metric(balanced_accuracy),
    "auc": Metric(macro_auc),
    "ece": Metric(calibration_error, "lower", _biased),
    "brier": Metric(brier, "lower", _to_two),
}


def judge(probabilities: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> dict:
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
    absent = {str(k): missing(f"the test set has no image of class {k}") for k in range(n_classes)}
    metrics = UTILITY | {
        str(k): Metric(functools.partial(recall, k=int(k))) for k in np.flatnonzero(counts)
    }
    if not counts.all():
        del metrics["auc"]
    values, replicates = bootstrap(_all(metrics.values(), probabilities, labels), labels, rng)
    drawn = rng.integers(seeds, size=(len(replicates), 1, seeds))
    replicates = np.take_along_axis(replicates, drawn, axis=2).mean(2)
    results = {"auc": absent[str(counts.argmin())]}
    for i, (name, each) in enumerate(metrics.items()):
        images = n if name in UTILITY else counts[int(name)]
        results[name] = each.interval(values[i].mean(), replicates[:, i], images)
    recalls = {str(k): results.get(str(k), absent[str(k)]) for k in range(n_classes)}
    return {name: results[name] for name in UTILITY} | {"recall": recalls}


def nothing(n_classes: int, reason: str) -> dict:
    """What `judge` returns where there is no number, for one reason."""
    metrics = dict.fromkeys(UTILITY, missing(reason))
    return metrics | {"recall": {str(k): missing(reason) for k in range(n_classes)}}


def _all(metrics: Iterable[Metric], probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    """One statistic [b, M, S] of the M metrics of the S classifiers."""
    rows = [[m.statistic(p, labels) for p in probabilities] for m in metrics]
    return lambda weights: np.stack(
        [np.stack([statistic(weights) for statistic in row], axis=1) for row in rows], axis=1
    )


def networks(params: Iterable[Any], images: np.ndarray, network: Any = classifier) -> np.ndarray:
    """Probabilities [S, n, K] of S trained networks on images. network: what has `logits(params, images)`."""
    logits = np.stack([network.logits(p, images) for p in params])
    return softmax(logits.astype(np.float64), axis=-1)


def train_and_test(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    n_classes: int,
    *,
    seed: int,
    seeds: int = 1,
    steps: int = classifier.STEPS,
    network: Any = classifier,
) -> dict:
    """Train `seeds` networks on one set and judge them on another.

    Args:
      train, test: (uint8 images [n, H, W, C], int labels [n]); test is never used to choose.
      seed: public; network i takes seed + i.
      network: the module that trains it: classifier or field.

    Returns: {name: metric}, as `judge`.
    """
    if len(train[0]) == 0 or len(test[0]) == 0:
        which = "training" if len(train[0]) == 0 else "test"
        return nothing(n_classes, f"there is no {which} image")
    params = network.train_all(*train, n_classes, seeds=range(seed, seed + seeds), steps=steps)
    return judge(networks(params, test[0], network), test[1], np.random.default_rng(seed))
