"""Membership attacks that need the synthetic images alone, not the generator.

SAMPLES_ONLY has one line per attack. To add one, write a function (images uint8 [n, H, W, C], labels [n], known)
-> scores float [n], higher = more like a member, and give it a line. `scores` runs all of them, and gives the
reason where one cannot be tried.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from fpu import neighbours
from fpu.neighbours import flat

_LEAST = 20  # synthetic or reference images: fewer cannot estimate a density
_PCA = 40  # components, as arXiv:1906.03006 has it
_PER_DIMENSION = 4  # images for each dimension of a density, at least
_MOST = 5000  # images that a density is estimated from, spread evenly over the set
_RIDGE = 1e-6  # of the reference's variance: a collapsed generator has a density too
_ROWS = 500  # images compared with all synthetic ones at once


class Known(NamedTuple):
    """The attacker's knowledge. None of the images under attack may be among the reference images."""

    synthetic: np.ndarray  # uint8 [s, H, W, C]
    synthetic_labels: np.ndarray  # ints [s]
    reference: np.ndarray  # uint8 [r, H, W, C], real, never trained on; r may be 0
    reference_labels: np.ndarray  # ints [r]


def scores(
    images: np.ndarray, labels: np.ndarray, known: Known
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """({name: scores float [n]}, {name: why there are none}): every attack is in one of the two."""
    reasons = {name: reason for name in SAMPLES_ONLY if (reason := _lacking(name, known))}
    tried = {name: attack for name, attack in SAMPLES_ONLY.items() if name not in reasons}
    return {name: attack(images, labels, known) for name, attack in tried.items()}, reasons


def _lacking(name: str, known: Known) -> str | None:
    """Why this attack cannot be tried, or None."""
    sets = {"synthetic": known.synthetic}
    if name in _NEED_REFERENCE:
        sets["reference"] = known.reference
    for kind, images in sets.items():
        if len(images) < _LEAST:
            return f"{len(images)} {kind} images; {_LEAST} are needed"
        if kind == "reference" and (images == images[0]).all():
            return "all reference images are the same"
    return None


def nearest(images: np.ndarray, labels: np.ndarray, known: Known) -> np.ndarray:
    """Minus the pixel distance to the nearest synthetic image of the same label.

    The black-box attack of GAN-Leaks (arXiv:1909.03935), class by class. For a label that the synthetic
    set lacks, all of it is searched.
    """
    return -_distance(images, labels, known.synthetic, known.synthetic_labels)


def _distance(images, labels, pool, pool_labels):
    """float64 [n]: to the closest image of `pool` with the same label; with any, where there is none."""
    distances = np.empty(len(images))
    for label in np.unique(labels):
        same, rows = pool[pool_labels == label], labels == label
        distances[rows] = neighbours.distance(images[rows], same if len(same) else pool)
    return distances


def nearest_calibrated(images: np.ndarray, labels: np.ndarray, known: Known) -> np.ndarray:
    """How much nearer the closest synthetic image is than the closest reference image.

    The calibrated black-box attack of GAN-Leaks (arXiv:1909.03935): a typical image is near to images of any
    generator, whether it was trained on it or not. The reference set stands for samples of their reference model.
    """
    typical = _distance(images, labels, known.reference, known.reference_labels)
    return typical + nearest(images, labels, known)


def monte_carlo(images: np.ndarray, labels: np.ndarray, known: Known) -> np.ndarray:
    """Share of the synthetic images within eps of an image, eps by the median heuristic.

    The Monte-Carlo attack of arXiv:1906.03006, #{i: d(x, g_i) <= eps} / s: d between the first 40 principal
    components, here those of the synthetic images; eps is the median over the attacked images of the
    distance to their closest synthetic image. It needs no label.
    """
    project = _principal(flat(_thinned(known.synthetic)), _PCA)
    attacked, pool = neighbours.on_distinct(project, flat(images), flat(known.synthetic))
    eps = np.median(np.concatenate([squares.min(1) for squares in _squares(attacked, pool)]))
    return np.concatenate([(squares <= eps).mean(1) for squares in _squares(attacked, pool)])


def domias(images: np.ndarray, labels: np.ndarray, known: Known) -> np.ndarray:
    """log p_synthetic(x) - log p_reference(x): high where the generator puts more mass than the population.

    DOMIAS (arXiv:2302.12580), both densities by Gaussian kernels with Scott's bandwidth, in the
    first d principal components of the reference images. d is a quarter of the smaller of the two
    sets, at most 40. (Measured on digits: power grows with d up to there, and features of a network
    carry less of it than pixels.) It needs no label.
    """
    fake, real = (flat(_thinned(x)) for x in (known.synthetic, known.reference))
    project = _principal(real, min(_PCA, min(len(fake), len(real)) // _PER_DIMENSION))
    attacked, fake, real = (project(x) for x in (flat(images), fake, real))
    ridge = _RIDGE * real.var(0).mean()
    return _log_density(fake, attacked, ridge) - _log_density(real, attacked, ridge)


SAMPLES_ONLY = {
    "nearest": nearest,
    "nearest_calibrated": nearest_calibrated,
    "monte_carlo": monte_carlo,
    "domias": domias,
}
_NEED_REFERENCE = ("nearest_calibrated", "domias")


def _thinned(images):
    count = len(images)
    return images[np.linspace(0, count - 1, min(count, _MOST)).astype(int)]


def _principal(rows, k):
    """The projection [n, pixels] -> [n, k] onto the first principal components of `rows`."""
    centre = rows.mean(0)
    x = rows - centre
    wide = len(x) < x.shape[1]
    gram = x @ x.T if wide else x.T @ x  # the smaller of the two
    values, axes = eigh(gram, subset_by_index=[max(0, len(gram) - k), len(gram) - 1])
    kept = values > 1e-9 * values[-1]
    values, axes = values[kept], axes[:, kept]
    if wide:
        axes = x.T @ axes / np.sqrt(values)
    return lambda x: (x - centre) @ axes


def _squares(a, b):
    """Squared distances of [n, d], a block of rows at a time, to all of [m, d]; 0 for equal rows."""
    for start in range(0, len(a), _ROWS):
        yield cdist(a[start : start + _ROWS], b, "sqeuclidean")


def _log_density(rows, at, ridge):
    """log of the kernel density of `rows` [m, d] at [n, d]; the kernel has their covariance, scaled."""
    m, d = rows.shape
    covariance = np.cov(rows.T).reshape(d, d) + ridge * np.eye(d)
    root = np.linalg.cholesky(covariance * m ** (-2 / (d + 4)))  # D. W. Scott, 1992
    white = [np.linalg.solve(root, x.T).T for x in (at, rows)]
    near = np.concatenate([np.logaddexp.reduce(-s / 2, axis=1) for s in _squares(*white)])
    return near - np.log(m) - d / 2 * np.log(2 * np.pi) - np.log(np.diag(root)).sum()
