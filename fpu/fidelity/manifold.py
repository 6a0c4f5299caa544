"""Shares of images inside the other side's balls: precision, recall, density, coverage."""

import numpy as np
from scipy.spatial.distance import cdist

K = 5  # neighbours of a ball


def _balls(centres, points):
    """(i, j) -> [len(i), len(j)]: is the point in the ball up to the centre's K-th neighbour?

    Strictly inside, as in the reference code of arXiv:2002.09797, so that a set compared with its
    own copy has density 1.
    """
    among, across = cdist(centres, centres), cdist(centres, points)

    def inside(i, j):
        radii = np.partition(among[np.ix_(i, i)], K, axis=1)[:, K]  # the 0-th is the centre itself
        return across[np.ix_(i, j)] < radii[:, None]

    return inside


def precision(real, fake, labels):
    """The share of synthetic images inside the real manifold (arXiv:1904.06991, k = 5)."""
    del labels
    inside = _balls(real, fake)
    return lambda i, j: inside(i, j).any(0).mean()


def recall(real, fake, labels):
    """The share of real images inside the synthetic manifold (arXiv:1904.06991, k = 5)."""
    del labels
    inside = _balls(fake, real)
    return lambda i, j: inside(j, i).any(0).mean()


def density(real, fake, labels):
    """The mean number of real balls around a synthetic image, over k (arXiv:2002.09797, k = 5).

    1 on average for one and the same distribution; above it, images crowd where the real are dense.
    """
    del labels
    inside = _balls(real, fake)
    return lambda i, j: inside(i, j).sum(0).mean() / K


def coverage(real, fake, labels):
    """The share of real images with a synthetic one in their ball (arXiv:2002.09797, k = 5).

    `coverage_ceiling` on average for one and the same distribution, about 1 - 2^-k = .969.
    """
    del labels
    inside = _balls(real, fake)
    return lambda i, j: inside(i, j).any(1).mean()


def coverage_ceiling(n, m, k=K):
    """What coverage is on average where both sides are one distribution, whatever it is.

    1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)) for n real and m synthetic images (arXiv:2002.09797):
    a real image is missed if its k nearest among all the others are real. Exact for
    independent images. With equal class counts and classes far apart, each class is an experiment
    of its own with its own n and m: the mean of theirs (.980 for 20 and 20, .969 for 1,000).
    """
    steps = np.arange(1, k + 1)
    return float(1 - np.prod(np.maximum(n - steps, 0) / (n + m - steps)))
