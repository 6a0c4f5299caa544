"""Membership attacks that need the synthetic images alone, not the generator.

SAMPLES_ONLY: name -> function(images uint8 [n, H, W, C], labels [n], known) -> scores float [n], higher = more
like a member. `scores` runs all of them, and says why where one cannot be tried.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.special import logsumexp

from fpu.privacy import distance

_LEAST = 20  # synthetic or reference images: fewer say nothing of a density
_PCA = 40  # components, as arXiv:1906.03006 has it
_PER_DIMENSION = 4  # images for each dimension of a density, at least
_MOST = 5000  # images that a density is made of, spread evenly over the set
_RIDGE = 1e-6  # of the reference's variance: a collapsed generator has a density too
_ROWS = 500  # images compared with all synthetic ones at once


class Known(NamedTuple):
    """What the attacker holds. None of the images under attack may be among the reference images."""

    synthetic: np.ndarray  # uint8 [s, H, W, C]
    synthetic_labels: np.ndarray  # ints [s]
    reference: np.ndarray  # uint8 [r, H, W, C], real, never trained on; r may be 0
    reference_labels: np.ndarray  # ints [r]
    embed: Callable | None = None  # images -> features [n, d]; unused: pixels told more


def scores(images, labels, known):
    """({name: scores float [n]}, {name: why there are none}): every attack is in one of the two."""
    found, unable = {}, {}
    for name, attack in SAMPLES_ONLY.items():
        reason = _lacking(name, known)
        if reason:
            unable[name] = reason
        else:
            found[name] = attack(images, labels, known)
    return found, unable


def _lacking(name, known):
    """Why this attack cannot be tried, or None."""
    sets = {"synthetic": known.synthetic}
    if name in ("nearest_calibrated", "domias"):
        sets["reference"] = known.reference
    for kind, images in sets.items():
        if len(images) < _LEAST:
            return f"{len(images)} {kind} images; {_LEAST} are needed"
        if kind == "reference" and (images == images[0]).all():
            return "all reference images are the same"
    return None


def nearest(images, labels, known):
    """Minus the pixel distance to the nearest synthetic image of the same label.

    The black-box attack of GAN-Leaks (arXiv:1909.03935), per class. A label that
    the synthetic set lacks is looked for in all of it.
    """
    return -_nearest_of_label(images, labels, known.synthetic, known.synthetic_labels)


def _nearest_of_label(images, labels, others, their_labels):
    found = np.empty(len(images))
    for label in np.unique(labels):
        pool = others[their_labels == label]
        mine = labels == label
        found[mine] = distance.nearest(images[mine], pool if len(pool) else others)
    return found


def nearest_calibrated(images, labels, known):
    """How much nearer the closest synthetic image is than the closest reference image.

    The black-box attack of GAN-Leaks, calibrated (arXiv:1909.03935): an image that anyone comes near to
    tells nothing. The reference set stands for the samples of their reference model.
    """
    easy = _nearest_of_label(images, labels, known.reference, known.reference_labels)
    return easy + nearest(images, labels, known)


def monte_carlo(images, labels, known):
    """Share of the synthetic images within eps of an image, eps by the median heuristic.

    The Monte-Carlo attack of arXiv:1906.03006, #{i: d(x, g_i) <= eps} / s: d between the first 40 principal
    components, here those of the synthetic images; eps is the median over the attacked images of the
    distance to their closest synthetic image. It needs no label.
    """
    del labels
    project = _principal(_flat(_thinned(known.synthetic)), _PCA)
    mine, pool = project(_flat(images)), project(_flat(known.synthetic))
    eps = np.median(np.concatenate([squares.min(1) for squares in _squares(mine, pool)]))
    return np.concatenate([(squares <= eps).mean(1) for squares in _squares(mine, pool)])


def domias(images, labels, known):
    """log p_synthetic(x) - log p_reference(x): where does the generator put more mass than the world?

    DOMIAS (arXiv:2302.12580), both densities by Gaussian kernels with Scott's bandwidth, in the
    first d principal components of the reference images. d is a quarter of the smaller of the two
    sets, at most 40. (Measured on digits: power grows with d up to there, and features of a network
    carry less of it than pixels.) It needs no label.
    """
    del labels
    fake, real = (_flat(_thinned(x)) for x in (known.synthetic, known.reference))
    project = _principal(real, min(_PCA, min(len(fake), len(real)) // _PER_DIMENSION))
    mine, fake, real = (project(x) for x in (_flat(images), fake, real))
    ridge = _RIDGE * real.var(0).mean()
    return _log_density(fake, mine, ridge) - _log_density(real, mine, ridge)


SAMPLES_ONLY = {
    "nearest": nearest,
    "nearest_calibrated": nearest_calibrated,
    "monte_carlo": monte_carlo,
    "domias": domias,
}


def _thinned(images):
    count = len(images)
    return images[np.linspace(0, count - 1, min(count, _MOST)).astype(int)]


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float64)


def _principal(known, k):
    """The projection [n, pixels] -> [n, k] onto the first principal components of `known`."""
    centre = known.mean(0)
    x = known - centre
    wide = len(x) < x.shape[1]
    gram = x @ x.T if wide else x.T @ x  # the smaller of the two
    values, axes = eigh(gram, subset_by_index=[max(0, len(gram) - k), len(gram) - 1])
    kept = values > 1e-9 * values[-1]
    values, axes = values[kept], axes[:, kept]
    if wide:
        axes = x.T @ axes / np.sqrt(values)
    return lambda x: (x - centre) @ axes


def _squares(a, b):
    """Squared distances, a block of rows of [n, d] at a time, to all of [m, d]."""
    for start in range(0, len(a), _ROWS):
        rows = a[start : start + _ROWS]
        yield np.maximum((rows**2).sum(1)[:, None] + (b**2).sum(1) - 2 * rows @ b.T, 0)


def _log_density(known, at, ridge):
    """log of the kernel density of `known` [m, d] at [n, d]; the kernel has its covariance, scaled."""
    m, d = known.shape
    covariance = np.cov(known.T).reshape(d, d) + ridge * np.eye(d)
    root = np.linalg.cholesky(covariance * m ** (-2 / (d + 4)))  # D. W. Scott, 1992
    white = [np.linalg.solve(root, x.T).T for x in (at, known)]
    near = np.concatenate([logsumexp(-s / 2, axis=1) for s in _squares(*white)])
    return near - np.log(m) - d / 2 * np.log(2 * np.pi) - np.log(np.diag(root)).sum()
