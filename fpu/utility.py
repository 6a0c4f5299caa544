"""What synthetic images are worth: train a classifier on them, test it on real ones.

UTILITY: name -> function(probabilities [n, K], labels [n]) -> statistic, where statistic(weights
[b, n]) -> [b] is the metric with image i counted weights[:, i] times (see intervals.bootstrap).
"""

import numpy as np
from scipy.special import softmax

from fpu import classifier
from fpu.intervals import bootstrap, missing, percentile


def accuracy(probabilities, labels):
    """The share of images whose most probable class is theirs."""
    right = (probabilities.argmax(1) == labels).astype(float)
    return lambda weights: weights @ right / weights.sum(1)


def balanced_accuracy(probabilities, labels):
    """The mean over the classes present of the share found of each."""
    right = (probabilities.argmax(1) == labels).astype(float)
    classes = np.unique(labels)[:, None] == labels
    return lambda weights: ((weights * right) @ classes.T / (weights @ classes.T)).mean(1)


def binary_auc(scores, positive):
    """Area under the ROC curve of scores [n] for booleans [n]; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # one per distinct score
    positive = positive[order]

    def statistic(weights):
        weights = weights[:, order]
        up = np.add.reduceat(weights * positive, starts, axis=1)
        down = np.add.reduceat(weights * ~positive, starts, axis=1)
        below = np.cumsum(down, axis=1) - down / 2
        return (up * below).sum(1) / (up.sum(1) * down.sum(1))

    return statistic


def macro_auc(probabilities, labels):
    """The mean over classes of the one-against-rest AUC, as medmnist.evaluator.getAUC has it.

    Of two classes the last alone is taken: they are the same but for ties that rounding makes.
    """
    n_classes = probabilities.shape[1]
    classes = [1] if n_classes == 2 else range(n_classes)
    each = [binary_auc(probabilities[:, k], labels == k) for k in classes]
    return lambda weights: np.mean([auc(weights) for auc in each], axis=0)


UTILITY = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "auc": macro_auc}


def judge(probabilities, labels, rng):
    """The metrics of one or more classifiers on one test set.

    Args:
      probabilities: float [S, n, K], one row per classifier seed.
      labels: ints [n].
      rng: numpy Generator.

    Returns: {name: metric}: the mean over the S seeds; the interval resamples the test images class
    by class, and the seeds where there are several. The training images are taken as given.
    """
    out, seeds = {}, len(probabilities)
    absent = np.setdiff1d(np.arange(probabilities.shape[2]), labels)
    for name, make in UTILITY.items():
        if not np.isfinite(probabilities).all():
            out[name] = missing("the classifier's outputs are not finite")
        elif name == "auc" and len(absent):
            out[name] = missing(f"the test set has no image of class {absent[0]}")
        else:
            value, replicates = bootstrap(_all(make, probabilities, labels), labels, rng)
            picked = rng.integers(seeds, size=replicates.shape)
            replicates = np.take_along_axis(replicates, picked, axis=1).mean(1)
            out[name] = percentile(value.mean(), replicates, len(labels))
    return out


def _all(make, probabilities, labels):
    """One statistic [b, S] of the statistics of the S classifiers."""
    each = [make(p, labels) for p in probabilities]
    return lambda weights: np.stack([statistic(weights) for statistic in each], axis=1)


def train_and_test(train, test, n_classes, *, seed, seeds=1, steps=classifier.STEPS):
    """Train `seeds` classifiers on one set and judge them on another.

    Args:
      train, test: (uint8 images [n, H, W, C], int labels [n]); test is never used to choose.
      seed: public; classifier i takes seed + i.

    Returns: {name: metric}.
    """
    if len(train[0]) == 0 or len(test[0]) == 0:
        which = "training" if len(train[0]) == 0 else "test"
        return {name: missing(f"there is no {which} image") for name in UTILITY}
    logits = [
        classifier.logits(classifier.train(*train, n_classes, seed=seed + i, steps=steps), test[0])
        for i in range(seeds)
    ]
    probabilities = softmax(np.stack(logits).astype(np.float64), axis=-1)
    return judge(probabilities, test[1], np.random.default_rng(seed))
