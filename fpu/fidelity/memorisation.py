"""Does a generator repeat its training images? Fidelity bought by copying does not count.

Each metric is a function (members, unseen, images, rng) -> metric: images that the generator was trained on,
real images that it was not trained on, and the images to judge, each uint8 [., H, W, C] or features [., d]. Its
real line is the same metric on real test images. The members are taken as given: intervals are over the
images, and over the unseen ones beside them.

Which distance? Measured on MNIST (100 and 1,000 members, 1,000 images): in pixels a slight blur of
fresh images, as a VAE makes, passes for copying (authenticity .35 where real images have .60, C_T -4.7);
only near_copies is not deceived. In features of a domain network, blurred copies pass for fresh. Random
features tell both apart (blur: authenticity .74, real images .68, C_T -1.2; blurred copies: .22, -7.6). So
near_copies is on pixels, authenticity and data_copying are on random features.
"""

import numpy as np
from scipy.stats import rankdata

from fpu import neighbours
from fpu.intervals import metric, missing, normal, percentile, share, wilson
from fpu.neighbours import flat

_COPIES = 0.01  # the share of unseen images that near_copies may take for copies
_CELL, _CELLS = 50, 10  # of data_copying: unseen images wanted in a cell, and cells at most
_LEAST = 20  # images and unseen images a cell must hold


def near_copies(
    members: np.ndarray, unseen: np.ndarray, images: np.ndarray, rng: np.random.Generator
) -> dict:
    """The share of images closer to a member than all but 1 % of unseen real images are.

    Distance is to the nearest member. An image counts that is closer than the floor(.01 (u + 1))-th least
    distance of the u unseen images, so that a generator as good as fresh data has an expected share of at most
    1 % (a conformal p-value), and copies of members have 1. A share well above 1 % is memorisation.
    `unseen` is in no training set and has the label proportions of `images`.

    Copies of a commonplace image (a blank scan, say) prove nothing: images that equal a member and an unseen image
    as well are left out, and unseen ones that equal a member and another unseen one. Where 1 % of the other unseen
    images still equal a member, copies in general prove nothing, and there is no value.
    """
    if reason := _lacks(members, images):
        return missing(reason)
    _, inverse, counts = np.unique(flat(unseen), axis=0, return_inverse=True, return_counts=True)
    baseline, distances = (neighbours.distance(x, members) for x in (unseen, images))
    baseline = np.sort(baseline[(baseline > 0) | (counts[inverse.reshape(-1)] == 1)])
    distances = distances[(distances > 0) | (neighbours.distance(images, unseen) > 0)]
    n, u = len(distances), len(baseline)
    least = round(1 / _COPIES) - 1
    if u < least:
        return missing(f"{u} unseen real images; at least {least} are needed to see 1 %")
    if n == 0:
        return missing("every image equals a member and an unseen real image as well")
    rank = int(_COPIES * (u + 1)) - 1
    if baseline[rank] == 0:
        return missing("1 % or more of the unseen real images equal a member: copies prove nothing")
    value = np.mean(distances < baseline[rank])
    thresholds = np.sort(baseline[rng.integers(u, size=(500, u))], axis=1)[:, rank]
    shares = np.searchsorted(np.sort(distances), thresholds, side="left") / n
    return percentile(value, rng.binomial(n, shares) / n, n)


def authenticity(
    members: np.ndarray, unseen: np.ndarray | None, images: np.ndarray, rng: np.random.Generator
) -> dict:
    """The share of images no closer to their nearest member than it is to another member.

    arXiv:2102.08921. 0 for copies; an image equal to a member is never authentic, even
    where two members are equal. For fresh images it is not 1 but about a half (an image and a
    member are each other's nearest neighbours half of the time): compare with the real line.
    """
    if reason := _lacks(members, images):
        return missing(reason)
    distances, rows = (each[:, 0] for each in neighbours.nearest(images, members))
    rows, inverse = np.unique(rows, return_inverse=True)
    # The first neighbour of a member among the members is the member itself.
    to_others = neighbours.nearest(members[rows], members, 2)[0][:, 1]
    value = float(np.mean((distances > 0) & (distances >= to_others[inverse])))
    return share(value, np.sqrt(value * (1 - value) / len(images)), len(images))


def data_copying(
    members: np.ndarray, unseen: np.ndarray, images: np.ndarray, rng: np.random.Generator
) -> dict:
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
    from sklearn.cluster import KMeans  # takes a second to import

    seed = int(rng.integers(2**31))
    distinct = len(np.unique(flat(members), axis=0))
    n_cells = int(np.clip(few // _CELL, 1, min(_CELLS, distinct)))
    # scikit-learn infers the type of n_init from its default, 'auto'; a number is right too.
    means = KMeans(n_cells, n_init=1, random_state=seed).fit(flat(members))  # pyright: ignore[reportArgumentType]
    cells = [means.predict(flat(x)) for x in (images, unseen)]
    distances = [neighbours.distance(x, members) for x in (images, unseen)]
    scores, weights = [], []
    for cell in range(n_cells):
        a, b = (d[c == cell] for d, c in zip(distances, cells, strict=True))
        if min(len(a), len(b)) >= _LEAST and np.ptp(np.r_[a, b]):
            scores.append(mann_whitney(a, b))
            weights.append(len(b))
    if not scores:
        return missing(f"no cell holds {_LEAST} images and {_LEAST} unseen ones at two distances")
    (z, low, high), w = np.transpose(scores), np.array(weights) / sum(weights)
    down, up = np.sqrt((w**2 * (z - low) ** 2).sum()), np.sqrt((w**2 * (high - z) ** 2).sum())
    return metric(w @ z, w @ z - down, w @ z + up, len(images))


def mann_whitney(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
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
    z, low, high = ((float(x) - 0.5) / np.sqrt(spread) for x in (area, low, high))
    return z, low, high


def _lacks(members, images):
    """Why there can be no value, or ''."""
    if len(images) == 0 or len(members) < 2:
        return f"{len(images)} images to judge and {len(members)} members; 1 and 2 are needed"
    for name, x in (("members", members), ("images", images)):
        if not np.isfinite(x).all():
            return f"the {name} are not all finite"
        if len(x) > 1 and not np.ptp(flat(x), axis=0).any():
            return f"all {name} are the same"
    return ""
