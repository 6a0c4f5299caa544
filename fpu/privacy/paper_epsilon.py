"""The paper's "empirical epsilon" (arXiv:2606.07640): how much denser the samples of a generator lie around one
image when that image was trained on.

Two trainings differ by one image, the query x: the `ablated` one has no image of its class, the `victim` one
has x alone of it. Images are embedded in the plane by Isomap, and with r_k the distance to the k-th nearest
sample

    as_coded       = log( r_k(x; ablated) / r_k(x; victim) )
    with_dimension = 2 as_coded

A k-nearest-neighbour density is k / (n pi r_k^2), so the second is the estimate of log p_victim(x) - log
p_ablated(x) in the plane, and the first, which the paper's code reports, is half of it.

It is no bound on eps, from either side. It looks at one point of the output space, not at the worst set; the
plane loses most of the image; the two densities are estimates; and two trainings on the same images differ too.
`unchanged` says by how much: the same ratio at images that both trainings have.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from fpu import neighbours
from fpu.intervals import metric, missing

K = 20  # the neighbour whose distance is the radius
DIMENSION = 2
NEIGHBOURS = 15  # of each image in Isomap's graph
PER_CLASS = 200  # real images of each class that Isomap is fitted on
MOST = 2200  # of these in all, which with their copies take half a minute and 2.5 GB
NOISE = (0.01, 0.05, 0.25, 0.5)  # of the copies, in parts of full scale

# Standard error of as_coded from the draws alone. n p pi r_k^2 is Gamma(k) where the density p is flat
# around the query, and the logarithm of a Gamma(k) has variance trigamma(k).
SAMPLING_ERROR = float(np.sqrt(2 * special.polygamma(1, K)) / DIMENSION)


class Embedding(NamedTuple):
    """A map into the plane, and on how many images it was fitted."""

    embed: Callable[[np.ndarray], np.ndarray]  # uint8 images [n, H, W, C] -> float64 [n, 2]
    per_class: dict[int, int]  # real images of each class
    n: int  # points of the neighbour graph: these images and their noisy copies


def embedding(images: np.ndarray, labels: ArrayLike) -> Embedding:
    """Isomap of the first 200 images of each class and of copies of them with four strengths of noise.

    The noise is the same in every call, so that one data set has one embedding, to about six digits (the
    eigensolver starts at random). Where there are more
    than 11 classes each has fewer images, 2,200 in all: cost and memory grow with the square
    (measured on 2 cores: 5,000 points 8 s, 11,000 points 31 s).

    Args:
      images: uint8 [n, H, W, C], real ones, in an order that does not change from run to run.
      labels: ints [n].

    Raises ValueError, with the reason, where the images have no such map: too few distinct ones, or a
    neighbour graph that is not connected, which leaves distances along the graph undefined.
    """
    from sklearn.manifold import Isomap

    labels = np.asarray(labels)
    classes = np.unique(labels)
    most = min(PER_CLASS, MOST // max(1, len(classes)))
    rows = [np.flatnonzero(labels == c)[:most] for c in classes]
    clean = _flat(images[np.concatenate([*rows, np.arange(0)])])
    distinct = len(np.unique(clean, axis=0))
    if distinct <= NEIGHBOURS:
        raise ValueError(
            f"{distinct} distinct real images; Isomap with {NEIGHBOURS} neighbours needs more"
        )
    rng = np.random.default_rng(0)
    noise = (s * rng.standard_normal(clean.shape, np.float32) for s in NOISE)
    points = np.concatenate([clean, *(np.clip(clean + z, 0, 1) for z in noise)])
    isomap = Isomap(n_neighbors=NEIGHBOURS, n_components=DIMENSION)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The number of connected components")
        try:
            isomap.fit(points)
        except UserWarning:
            raise ValueError(
                f"the {NEIGHBOURS}-neighbour graph of {len(points)} images falls into parts"
            ) from None
    return Embedding(
        lambda x: isomap.transform(_flat(x)).astype(np.float64),
        {int(c): len(r) for c, r in zip(classes, rows, strict=True)},
        len(points),
    )


def _flat(images):
    return neighbours.flat(images).astype(np.float32) / 255


def log_ratio(
    queries: np.ndarray, ablated: np.ndarray, victim: np.ndarray, k: int = K
) -> np.ndarray:
    """log( r_k(x; ablated) / r_k(x; victim) ) of each query: `as_coded`.

    Args:
      queries: float [m, d], embedded.
      ablated, victim: float [n, d], equally many samples of the two trainings.
      k: the neighbour whose distance is taken.

    Returns: float [m]; +inf where k samples of the victim world equal the query (copies), -inf where
    k of the ablated one do, NaN where both do.

    Raises ValueError for fewer than k samples, and for unequal counts, which would add a term.
    """
    if len(ablated) != len(victim) or len(victim) < k:
        raise ValueError(f"{len(ablated)} and {len(victim)} samples; equal counts from {k} on")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.subtract(
            *(np.log(neighbours.nearest(queries, x, k)[0][:, -1]) for x in (ablated, victim))
        )


def summary(values: ArrayLike, classes: ArrayLike) -> dict:
    """Metrics of the log ratios of many queries.

    Args:
      values: float [Q], `log_ratio` of each query.
      classes: ints [Q], the class of each query.

    Returns: {'overall', 'per_class'}; per_class is keyed by class as text. Each holds {'as_coded', 'with_dimension'}.
      per_class: mean over the queries of a class, n their number.
      overall: mean over the classes' means, n their number, so that every class weighs the same.
        Intervals of both are Student's, and never narrower than the sampling error of the draws
        (SAMPLING_ERROR; the queries of one class share their samples). They do not contain what another
        training would change; but each class has trainings of its own.

    A query without a finite ratio makes its class and the overall mean null: to leave it out would be too favourable.
    """
    values, classes = np.asarray(values, np.float64), np.asarray(classes)
    by_class = {int(c): values[classes == c] for c in np.unique(classes)}
    means = np.array([v.mean() for v in by_class.values()])
    return {
        "overall": _mean(means, values, len(by_class)),
        "per_class": {str(c): _mean(v, v, 1) for c, v in by_class.items()},
    }


def unchanged(values: ArrayLike) -> dict:
    """{'as_coded', 'with_dimension'}: mean and the range of the middle 95 % of single images.

    Args:
      values: float [m], `log_ratio` at images that both trainings have. It measures how far two trainings
        differ by chance; a query within this range is no evidence of anything else.
    """
    values = np.asarray(values, np.float64)
    if reason := _unusable(values):
        return _both(missing(reason))
    low, high = np.percentile(values, [2.5, 97.5])
    return _both(metric(values.mean(), low, high, len(values)))


def _mean(parts, values, draws) -> dict:
    """Both forms of the mean of `parts`, which summarise `values` from so many independent draws."""
    if reason := _unusable(values):
        return _both(missing(reason))
    n, half = len(parts), stats.norm.ppf(0.975) * SAMPLING_ERROR / np.sqrt(draws)
    if n > 1:
        half = max(half, stats.t.ppf(0.975, n - 1) * parts.std(ddof=1) / np.sqrt(n))
    return _both(metric(parts.mean(), parts.mean() - half, parts.mean() + half, n))


def _unusable(values) -> str | None:
    if not values.size:
        return "no query"
    bad = np.count_nonzero(~np.isfinite(values))
    copies = np.count_nonzero(np.isposinf(values))
    if not bad:
        return None
    return (
        f"{bad} of {values.size} ratios are not finite: {copies} times {K} samples of the victim world "
        f"equal the query (copies of it), {bad - copies} times those of the ablated world or of both do"
    )


def _both(coded: dict) -> dict:
    """as_coded, and with_dimension, where numbers are multiplied by the dimension."""
    scaled = {x: DIMENSION * coded[x] for x in ("value", "low", "high") if coded.get(x) is not None}
    return {"as_coded": coded, "with_dimension": coded | scaled}
