"""How close synthetic images are to real ones that the generator never saw.

FIDELITY has one line per metric. A metric is a function (real [n, d], fake [n, d], labels [n]) ->
statistic, on features of class-matched images: row i of both has class labels[i]. statistic(i, j)
is its value on the rows i of the real and j of the fake features, so that `compare` can put an
interval around it. The interval is for the images at hand, not for a generator trained anew.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from fpu.intervals import jackknife, missing, normal, percentile, share
from fpu.privacy.distance import nearest

K = 5  # neighbours of precision, recall, density and coverage
_COPIES = 0.01  # the share of unseen images that near_copies lets pass for copies
_RARE = 6  # classes with fewer images are taken as one: a third left out must leave pairs


def kid(real, fake, labels):
    """Kernel inception distance: the unbiased squared MMD with kernel (x.y / d + 1)^3.

    arXiv:1801.01401, section 4; with one class, exactly theirs. Equal class counts on both sides
    are not an independent sample: they make pairs of one class rarer within than across, a bias of
    the order of the noise. Pairs are therefore averaged class by class. About 0, and as often below
    as above, for one and the same distribution.
    """
    d = real.shape[1]
    within = [(x @ x.T / d + 1) ** 3 for x in (real, fake)]
    across = (real @ fake.T / d + 1) ** 3

    def statistic(i, j):
        own = [_pairs(k[np.ix_(r, r)], labels[r]) for k, r in zip(within, (i, j), strict=True)]
        return own[0] + own[1] - 2 * across[np.ix_(i, j)].mean()

    return statistic


def _pairs(kernel, labels):
    """The mean over two independent images of the same class proportions, of a kernel [n, n]."""
    one_hot = (labels[:, None] == np.unique(labels)).astype(float)
    counts, blocks = one_hot.sum(0), one_hot.T @ kernel @ one_hot
    distinct = np.diag(blocks) - one_hot.T @ np.diag(kernel)
    between = blocks.sum() - np.trace(blocks)
    return (between + (distinct * counts / np.maximum(counts - 1, 1)).sum()) / len(labels) ** 2


def frechet(mean_a, cov_a, mean_b, cov_b):
    """Squared Frechet distance of Gaussians, |m_a - m_b|^2 + tr(A + B - 2 (A B)^1/2).

    D. C. Dowson and B. V. Landau (1982).
    """
    values, vectors = np.linalg.eigh(cov_b)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_a @ root), 0)).sum()
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross


def fd(real, fake, labels):
    """Frechet distance of the Gaussians fitted to the features (arXiv:1706.08500).

    Biased upwards by about a constant over n: compare only at equal counts, and with the zero line.
    The interval is that of FD at this n, not of its limit.
    """
    del labels

    def statistic(i, j):
        x, y = real[i], fake[j]
        return frechet(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))

    return statistic


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

    For one and the same distribution about 1 - 2^-k = .969, not 1.
    """
    del labels
    inside = _balls(real, fake)
    return lambda i, j: inside(i, j).any(1).mean()


class Metric(NamedTuple):
    """One line of FIDELITY."""

    function: Callable
    least: Callable[[int], int]  # images needed on each side, given the number of features
    bounds: tuple[float, float]


def _local(d):
    return 10 * K  # with fewer, a ball of K neighbours holds over a tenth of all images


def _full_rank(d):
    return max(_local(d), 2 * d)  # so that the covariances are of full rank with a third left out


FIDELITY = {
    "kid": Metric(kid, _local, (-np.inf, np.inf)),
    "fd": Metric(fd, _full_rank, (0.0, np.inf)),
    "precision": Metric(precision, _local, (0.0, 1.0)),
    "recall": Metric(recall, _local, (0.0, 1.0)),
    "density": Metric(density, _local, (0.0, np.inf)),
    "coverage": Metric(coverage, _local, (0.0, 1.0)),
}


def compare(real, fake, labels, rng):
    """Every metric of FIDELITY on features of class-matched images.

    Args:
      real, fake: float [n, d]; row i of both has class labels[i]. labels: ints [n].
      rng: numpy Generator.

    Returns: {name: metric}, n the images on each side; missing where there are too few, where a
    feature is not finite, or where one side is a single image over and over.
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    counts = np.unique_counts(labels)
    labels = np.where(np.isin(labels, counts.values[counts.counts < _RARE]), -1, labels)
    return {name: _measure(metric, real, fake, labels, rng) for name, metric in FIDELITY.items()}


def _measure(metric, real, fake, labels, rng):
    n, least = len(labels), metric.least(real.shape[1])
    if n < least:
        return missing(f"{n} images on each side; at least {least} are needed")
    for name, x in (("real", real), ("synthetic", fake)):
        if not np.isfinite(x).all():
            return missing(f"the features of the {name} images are not all finite")
        if not np.ptp(x, axis=0).any():
            return missing(f"all {name} images are the same")
    statistic = metric.function(real, fake, labels)
    value, error = statistic(np.arange(n), np.arange(n)), jackknife(statistic, labels, rng)
    if metric.bounds == (0.0, 1.0):
        return share(value, error, n)
    return normal(value, error, n, floor=metric.bounds[0])


def near_copies(members, unseen, images, rng):
    """The share of images closer to a member than all but 1 % of unseen real images are.

    Distance is to the nearest member, in pixels. The threshold is the floor(.01 (u + 1))-th least
    distance of the u unseen images, so that a generator as good as fresh data has an expected share
    of at most 1 % (a conformal p-value), and copies of members have 1. A share well above 1 % is
    memorisation, and fidelity bought by it does not count. In the spirit of the data-copying test
    arXiv:2004.05675, with unseen images in the place of its cells.

    Args:
      members, unseen, images: uint8 [., H, W, C]; `unseen` real, in no training set, with the label
        proportions of `images`.
    """
    least = round(1 / _COPIES) - 1
    if len(images) == 0 or len(members) == 0:
        return missing(f"{len(images)} images to judge and {len(members)} members")
    if len(unseen) < least:
        return missing(f"{len(unseen)} unseen real images; at least {least} are needed to see 1 %")
    rank = int(_COPIES * (len(unseen) + 1)) - 1
    baseline, distance = np.sort(nearest(unseen, members)), nearest(images, members)
    value = np.mean(distance <= baseline[rank])
    draws = rng.integers(len(unseen), size=(500, len(unseen)))
    thresholds = np.sort(baseline[draws], axis=1)[:, rank]
    shares = np.searchsorted(np.sort(distance), thresholds, side="right") / len(distance)
    return percentile(value, rng.binomial(len(distance), shares) / len(distance), len(distance))
