"""How close synthetic images are to real ones that the generator never saw.

FIDELITY has one line per metric. To add one, write a function (real [n, d], fake [n, d], labels [n]) -> statistic
and give it a line. It sees features of class-matched images: row i of both has class labels[i]. statistic(i, j)
is its value on the rows i of the real and j of the fake features, so that `compare` can put an interval around
it. The interval is for the images at hand, not for a generator trained anew. Whether the generator repeats its
training images is measured in memorisation.py.

Measured on Gaussian features, fresh and noisy (d = 64, ten classes, 200 and 500 images a side): the 95 % intervals
hold the mean over samples 92 to 100 % of the time for neighbour counts and Vendi, and 99 % of the time for KID, FD
and FD_inf, where they are 1.4 to 2.2 times too wide.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fpu.fidelity.distances import fd, fd_inf, kid
from fpu.fidelity.diversity import CLASS, vendi, vendi_error
from fpu.fidelity.manifold import K, coverage, density, precision, recall
from fpu.intervals import jackknife, missing, normal, share

# Classes with fewer images are pooled: with a third left out, pairs of a class must remain.
_RARE = 6
_LEAST = 10 * K  # images on each side: with fewer, a ball of K neighbours holds over a tenth of all
_CONTROL = ("kid", "fd")


class Metric(NamedTuple):
    """One line of FIDELITY."""

    function: Callable
    bounds: tuple[float, float]
    # Images needed on each side for each feature: 2 for covariances of full rank with a third left out, 4 for
    # covariances of full rank in every third of the images.
    per_feature: int = 0
    each: int = 1  # images that the largest class must have
    error: Callable | None = None  # (real, fake, labels) -> standard error; None: the jackknife's


FIDELITY = {
    "kid": Metric(kid, (-np.inf, np.inf), each=_RARE),
    "fd": Metric(fd, (0.0, np.inf), per_feature=2),
    "fd_inf": Metric(fd_inf, (-np.inf, np.inf), per_feature=4),
    "precision": Metric(precision, (0.0, 1.0)),
    "recall": Metric(recall, (0.0, 1.0)),
    "density": Metric(density, (0.0, np.inf)),
    "coverage": Metric(coverage, (0.0, 1.0)),
    "vendi": Metric(vendi, (1.0, np.inf), each=CLASS, error=vendi_error),
}


def compare(
    real: np.ndarray,
    fake: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    metrics: Mapping[str, Metric] = FIDELITY,
) -> dict[str, dict]:
    """Every metric of `metrics` on features of class-matched images.

    Args:
      real, fake: float [n, d]; row i of both has class labels[i]. labels: ints [n].
      rng: numpy Generator.

    Returns: {name: metric}, n the images on each side; missing where there are too few, where a
    feature is not finite, or where one side is a single image over and over.
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    labels = _pooled(labels)
    return {name: _measure(metric, real, fake, labels, rng) for name, metric in metrics.items()}


def values(
    real: np.ndarray, fake: np.ndarray, labels: np.ndarray, metrics: Mapping[str, Metric] = FIDELITY
) -> dict[str, float | None]:
    """The values of `compare` without their intervals, which take most of its time; None where one is missing."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    labels = _pooled(labels)
    rows = np.arange(len(labels))
    return {
        name: None
        if _problem(metric, real, fake, labels)
        else float(metric.function(real, fake, labels)(rows, rows))
        for name, metric in metrics.items()
    }


def control(
    real: np.ndarray, fake: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> dict[str, dict]:
    """`compare` on features of a random network: kid_random, fd_random.

    A network trained on the domain sees what tells its classes apart and may be blind to the rest.
    Where the two rank generators differently, rely on neither.
    """
    metrics = compare(real, fake, labels, rng, {name: FIDELITY[name] for name in _CONTROL})
    return {f"{name}_random": metric for name, metric in metrics.items()}


def _pooled(labels: np.ndarray) -> np.ndarray:
    """Labels with those of rare classes replaced by -1."""
    counts = np.unique_counts(labels)
    return np.where(np.isin(labels, counts.values[counts.counts < _RARE]), -1, labels)


def _problem(metric, real, fake, labels) -> str | None:
    """Why a metric cannot be computed on these features; None where it can."""
    n, least = len(labels), max(_LEAST, metric.per_feature * real.shape[1])
    if n < least:
        return f"{n} images on each side; at least {least} are needed"
    # If all classes are pooled, KID is biased (measured: by 2 sd at 5 a class).
    largest = np.bincount(labels[labels >= 0], minlength=1).max()
    if metric.each > 1 and largest < metric.each:
        return f"fewer than {metric.each} images in every class"
    for name, x in (("real", real), ("synthetic", fake)):
        if not np.isfinite(x).all():
            return f"the features of the {name} images are not all finite"
        if not np.ptp(x, axis=0).any():
            return f"all {name} images are the same"
    return None


def _measure(metric, real, fake, labels, rng):
    if problem := _problem(metric, real, fake, labels):
        return missing(problem)
    n = len(labels)
    statistic = metric.function(real, fake, labels)
    value = statistic(np.arange(n), np.arange(n))
    if metric.error is None:
        error = jackknife(statistic, labels, rng)
    else:
        error = metric.error(real, fake, labels)
    if metric.bounds == (0.0, 1.0):
        return share(value, error, n)
    return normal(value, error, n, floor=metric.bounds[0])
