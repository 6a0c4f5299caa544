"""Shares of images inside the balls of the other set: precision, recall, density, coverage."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

K = 5  # the neighbour at whose distance a ball ends


def _balls(centres, points):
    """(inside, sizes): which points are in the ball of a centre, up to its K-th neighbour, and what the balls hold.

    inside(i, j): bool [len(i), len(j)], of centres i, whose neighbours are those in i, and points j.
    sizes(i): how many of the centres i are in the ball of each; K, but where distances tie.

    Strictly inside, as in the reference code of arXiv:2002.09797; and a point equal to the centre always is, also
    where more than K centres are equal and the radius is 0.
    """
    among, across = cdist(centres, centres), cdist(centres, points)

    def within(distances, i):
        radii = np.partition(among[np.ix_(i, i)], K, axis=1)[:, K]  # the 0-th is the centre itself
        return (distances < radii[:, None]) | (distances == 0)

    def inside(i, j):
        return within(across[np.ix_(i, j)], i)

    def sizes(i):
        return within(among[np.ix_(i, i)], i).sum(1)

    return inside, sizes


def precision(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> Callable:
    """The share of synthetic images inside the real manifold (arXiv:1904.06991, k = 5)."""
    inside, _ = _balls(real, fake)
    return lambda i, j: inside(i, j).any(0).mean()


def recall(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> Callable:
    """The share of real images inside the synthetic manifold (arXiv:1904.06991, k = 5)."""
    inside, _ = _balls(fake, real)
    return lambda i, j: inside(j, i).any(0).mean()


def density(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> Callable:
    """The mean number of real balls around a synthetic image, over k (arXiv:2002.09797, k = 5).

    1 on average for one and the same distribution; above it, images crowd where the real are dense. Where distances
    tie, a ball holds another number of real images than k, and counts k over that number: a set against its own
    copy has density 1 whatever its ties.
    """
    inside, sizes = _balls(real, fake)
    return lambda i, j: (inside(i, j).mean(1) / sizes(i)).sum()


def coverage(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> Callable:
    """The share of real images with a synthetic one in their ball (arXiv:2002.09797, k = 5).

    `coverage_ceiling` on average for one and the same distribution, about 1 - 2^-k = .969.
    """
    inside, _ = _balls(real, fake)
    return lambda i, j: inside(i, j).any(1).mean()


def coverage_ceiling(n: int, m: int, k: int = K) -> float:
    """What coverage is on average where both sides are one distribution, whatever it is.

    1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)) for n real and m synthetic images (arXiv:2002.09797):
    a real image is missed if its k nearest among all the others are real. Exact for
    independent images. With equal class counts and classes far apart, each class is an experiment
    of its own with its own n and m: the mean of theirs (.980 for 20 and 20, .969 for 1,000).
    """
    steps = np.arange(1, k + 1)
    return float(1 - np.prod(np.maximum(n - steps, 0) / (n + m - steps)))
