"""Does a generator repeat its training images? Fidelity bought by copying does not count.

Each metric is a function (members, unseen, images, rng) -> metric: images the generator trained on,
real images it did not, and those to judge, each uint8 [., H, W, C] or features [., d]. Its zero
line is the same metric on real test images. The members are taken as given: intervals are over the
images, and over the unseen ones beside them.

Which distance? Measured on MNIST (100 and 1,000 members, 1,000 images): in pixels a slight blur of
fresh images, as a VAE makes, passes for copying (authenticity .35 for a zero line of .60, C_T -4.7)
and near_copies alone is not deceived. In features of a domain network blurred copies pass for
fresh. Random features tell both apart (blur: authenticity .74 for .68, C_T -1.2; blurred copies:
.22, -7.6). So: near_copies on pixels, authenticity and data_copying on random features.
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from fpu.intervals import metric, missing, normal, percentile, share, wilson

_COPIES = 0.01  # the share of unseen images that near_copies lets pass for copies
_CELL, _CELLS = 50, 10  # of data_copying: unseen images wanted in a cell, and cells at most
_LEAST = 20  # images and unseen images a cell must hold


def near_copies(members, unseen, images, rng):
    """The share of images closer to a member than all but 1 % of unseen real images are.

    Distance is to the nearest member. The threshold is the floor(.01 (u + 1))-th least distance of
    the u unseen images, so that a generator as good as fresh data has an expected share of at most
    1 % (a conformal p-value), and copies of members have 1. A share well above 1 % is memorisation.
    `unseen` is in no training set and has the label proportions of `images`.
    """
    least = round(1 / _COPIES) - 1
    if reason := _lacks(members, images):
        return missing(reason)
    if len(unseen) < least:
        return missing(f"{len(unseen)} unseen real images; at least {least} are needed to see 1 %")
    rank = int(_COPIES * (len(unseen) + 1)) - 1
    baseline, distance = np.sort(_nearest(unseen, members)), _nearest(images, members)
    value = np.mean(distance <= baseline[rank])
    draws = rng.integers(len(unseen), size=(500, len(unseen)))
    thresholds = np.sort(baseline[draws], axis=1)[:, rank]
    shares = np.searchsorted(np.sort(distance), thresholds, side="right") / len(distance)
    return percentile(value, rng.binomial(len(distance), shares) / len(distance), len(distance))


def authenticity(members, unseen, images, rng):
    """The share of images no closer to their nearest member than it is to another member.

    arXiv:2102.08921. 0 for copies; an image equal to a member is never authentic, even
    where two members are equal. For fresh images it is not 1 but about a half (an image and a
    member are each other's nearest neighbours half of the time): compare with the zero line.
    """
    del unseen, rng
    if reason := _lacks(members, images):
        return missing(reason)
    distance, nearest = (x[:, 0] for x in _neighbours(images, members, 1))
    used, nearest = np.unique(nearest, return_inverse=True)
    own = _neighbours(members[used], members, 2)[0][:, 1]  # the first is the member itself
    value = np.mean((distance > 0) & (distance >= own[nearest]))
    return share(value, np.sqrt(value * (1 - value) / len(images)), len(images))


def data_copying(members, unseen, images, rng):
    """C_T, the z score of the images' distances to the members against the unseen's.

    arXiv:2004.05675, section 3: Mann-Whitney within each cell, averaged over cells by their share
    of the unseen images. Cells are those of k-means on the members, as many as leave 50 unseen
    images in each, at most 10, one below 100; a cell short of 20 images or 20 unseen is left out.
    Well below 0 the images are closer to members than unseen ones are: copies. Well above, they are
    further: underfit. Of fresh images in one cell the standard deviation is 1, and over c cells
    1 / sqrt(c). It grows with the square root of the counts: compare at equal counts only.
    """
    if reason := _lacks(members, images):
        return missing(reason)
    few = min(len(unseen), len(images))
    if few < _LEAST:
        return missing(f"{few} images or unseen real images; at least {_LEAST} are needed")
    cells = int(np.clip(few // _CELL, 1, min(_CELLS, len(members))))
    seed = int(rng.integers(2**31))
    means = KMeans(cells, n_init=1, random_state=seed).fit(_flat(members))
    found, weights = [], []
    both = [(means.predict(_flat(x)), _nearest(x, members)) for x in (images, unseen)]
    for cell in range(cells):
        mine, theirs = (distance[where == cell] for where, distance in both)
        if min(len(mine), len(theirs)) >= _LEAST and np.ptp(np.r_[mine, theirs]):
            found.append(mann_whitney(mine, theirs))
            weights.append(len(theirs))
    if not found:
        return missing(f"no cell holds {_LEAST} images and {_LEAST} unseen ones at two distances")
    (z, low, high), w = np.transpose(found), np.array(weights) / sum(weights)
    down, up = np.sqrt((w**2 * (z - low) ** 2).sum()), np.sqrt((w**2 * (high - z) ** 2).sum())
    return metric(w @ z, w @ z - down, w @ z + up, len(images))


def mann_whitney(a, b):
    """(z, low, high): how surely values of a [n] lie above those of b [m], null variance 1.

    The interval is of the chance that one of a is above one of b, by its placements (E. R. DeLong
    and others, 1988), in units of the null's standard deviation; Wilson's where all or none are.
    """
    n, m = len(a), len(b)
    ranks = rankdata(np.r_[a, b])
    above = (ranks[:n] - rankdata(a)) / m  # the share of b below each of a
    below = 1 - (ranks[n:] - rankdata(b)) / n
    area = above.mean()
    _, ties = np.unique(ranks, return_counts=True)
    spread = (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1))) / (12 * n * m)
    error = np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    around = normal(area, error, n)
    low, high = (around["low"], around["high"]) if 0 < area < 1 else wilson(area, min(n, m))
    return tuple((x - 0.5) / np.sqrt(spread) for x in (area, low, high))


def _lacks(members, images):
    """Why nothing can be said, or ''."""
    if len(images) == 0 or len(members) < 2:
        return f"{len(images)} images to judge and {len(members)} members; 1 and 2 are needed"
    for name, x in (("members", members), ("images", images)):
        if not np.isfinite(x).all():
            return f"the {name} are not all finite"
        if len(x) > 1 and not np.ptp(_flat(x), axis=0).any():
            return f"all {name} are the same"
    return ""


def _flat(x):
    return x.reshape(len(x), -1).astype(np.float64)  # whole numbers to 2**53: a copy is at 0


def _neighbours(images, pool, k):
    """Euclidean distance to the k closest of `pool`, and their indices, [n, k] each."""
    return (
        NearestNeighbors(n_neighbors=k, algorithm="brute")
        .fit(_flat(pool))
        .kneighbors(_flat(images))
    )


def _nearest(images, pool):
    return _neighbours(images, pool, 1)[0][:, 0]
