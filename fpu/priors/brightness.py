"""How bright members are and how much they differ, by place and class: what the clearest images of a pool do not say.

Such images tell classes apart, and need be neither as bright as the members nor as different from one another. Let
m_k and v_k be mean and variance, pixel by pixel, of the images drawn for class k. Of the members x of each class two
maps of low frequencies are released,

    a_k = mean of x - m_k,        b_k = mean of (x - m_k)^2 - v_k, less a_k^2,

and a draw x of class k becomes m_k + a_k + (x - m_k) sqrt((v_k + b_k) / v_k), the ratio LEAST to MOST. Low frequencies
are the first coefficients of an orthonormal cosine transform. A map is what all classes have in common and what each
has of its own; both are shrunk by the noise in them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from fpu.dp import moments
from fpu.dp.rows import each_alone
from fpu.models.frequencies import cosines

SHARE = 0.2  # of the release's 1 / sigma^2
FREQUENCIES = 14, 8  # each way, of a and of b, in each channel
PART = 0.6**0.5  # weight of a's part of a term; that of b's is sqrt(1 - PART^2)
RADIUS = 2.0  # times the median norm of a part of what is drawn: terms of which both parts are as long have norm 1
LEAST, MOST = 0.25, 4.0
FEWEST = 0.15  # of the mean count: what a sum is divided by at least
_FLOOR = 1e-4  # the smallest v_k, (0.01)^2


class Maps(NamedTuple):
    """Mean and variance of the images drawn for each class, float64 [K, H, W, C], of pixels in [0, 1]."""

    mean: np.ndarray
    variance: np.ndarray


def maps(drawn: Sequence[np.ndarray]) -> Maps:
    """Of the uint8 images [n_k, H, W, C] that are drawn for each class."""
    found = [(pixels.mean(0), pixels.var(0)) for pixels in (images / 255.0 for images in drawn)]
    mean, variance = (np.stack(each) for each in zip(*found, strict=True))
    return Maps(mean, np.maximum(variance, _FLOOR))


def size(shape: Sequence[int]) -> int:
    """T: the coefficients of images [H, W, C]."""
    return sum(_sizes(shape))


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    drawn: Sequence[np.ndarray],
    denominator: float,
    key: jax.Array,
    std: float,
) -> np.ndarray:
    """float32 [K, T]: for each class the coefficients of a_k, then of b_k.

    Args:
      images, labels: uint8 [n, H, W, C] and ints [n], one image of each unit.
      drawn: uint8 [n_k, H, W, C] for each class; public, or chosen by what is noised already.
      denominator: the public number of units.
      key: secret typed key.
      std: noise on terms of norm 1.

    **Guarantees.** A unit's term holds the low frequencies of x - m_y and of (x - m_y)^2 - v_y, of its own image, as
    rounded alone (dp.rows.each_alone); it is scaled by `drawn` and clipped to norm 1 (moments.embeddings, which alone
    sees terms). The rest is post-processing.
    """
    shape, of = images.shape[1:], maps(drawn)
    classes = np.repeat(np.arange(len(drawn)), [len(each) for each in drawn])
    public, sizes = _terms(np.concatenate(drawn), classes, of), _sizes(shape)
    norms = [np.linalg.norm(part, axis=1) for part in np.split(public, sizes[:1], axis=1)]
    radii = [max(RADIUS * float(np.median(norm)), 1e-6) for norm in norms]
    weight = np.repeat([PART / radii[0], (1.0 - PART**2) ** 0.5 / radii[1]], sizes)
    terms = weight * _terms(images, labels, of)
    sums, counts = moments.embeddings(terms, labels, len(drawn), key, std)
    counts = np.maximum(np.asarray(counts, np.float64), FEWEST * denominator / len(drawn))
    sums = np.split(np.asarray(sums, np.float64) / weight, sizes[:1], axis=1)
    noise = np.split(std / (weight * (1.0 - moments.COUNT**2) ** 0.5), sizes[:1])
    parts = zip(sums, noise, radii, FREQUENCIES, strict=True)
    a, square = (
        _means(part, deviation, counts, denominator, radius, kept, shape)
        for part, deviation, radius, kept in parts
    )
    # b_k = mean of (x - m_k)^2 - v_k, less a_k^2.
    b = square - _low(np.square([_map(one, FREQUENCIES[0], shape) for one in a]), FREQUENCIES[1])
    return np.concatenate([a, b], axis=1).astype(np.float32)


def moved(
    images: np.ndarray, labels: np.ndarray, drawn: Sequence[np.ndarray], released: np.ndarray
) -> np.ndarray:
    """uint8 [n, H, W, C]: images drawn for classes `labels`, as bright and as different as `released` says.

    Args:
      drawn: as in `fit`, whose result is `released`.
    """
    shape, of = images.shape[1:], maps(drawn)
    parts = np.split(np.asarray(released, np.float64), _sizes(shape)[:1], axis=1)
    shift, wider = (
        np.stack([_map(one, kept, shape) for one in part])
        for part, kept in zip(parts, FREQUENCIES, strict=True)
    )
    ratio = (of.variance + wider) / of.variance
    gain = np.sqrt(np.clip(ratio, LEAST, MOST))
    pixels = (images / 255.0 - of.mean[labels]) * gain[labels]
    pixels += (of.mean + shift)[labels]
    return np.round(255.0 * np.clip(pixels, 0.0, 1.0)).astype(np.uint8)


def _terms(images, labels, of):
    """Low frequencies of x - m_y and of (x - m_y)^2 - v_y, float64 [n, T]."""
    # Row 0 is empty: each_alone fills up with it.
    images = np.concatenate([np.zeros((1, *images.shape[1:]), np.uint8), images])
    labels = np.concatenate([[0], labels])

    def some(rows):
        y = labels[rows]
        pixels = images[rows] / 255.0 - of.mean[y]
        of_a, of_b = FREQUENCIES
        squares = np.square(pixels) - of.variance[y]
        return np.concatenate([_low(pixels, of_a), _low(squares, of_b)], axis=1)

    return each_alone(some, np.arange(1, len(images)))


def _sizes(shape):
    """How many coefficients a and b have."""
    height, width, channels = shape
    return [min(height, k) * min(width, k) * channels for k in FREQUENCIES]


def _low(maps, count):
    """The first coefficients [n, k * k * C] of maps [n, H, W, C]."""
    rows, columns = (cosines(side)[:count] for side in maps.shape[1:3])
    return np.einsum("ih,nhwc,jw->nijc", rows, maps, columns, optimize=True).reshape(len(maps), -1)


def _map(coefficients, count, shape):
    """The map [H, W, C] of these first coefficients."""
    rows, columns = (cosines(side)[:count] for side in shape[:2])
    square = coefficients.reshape(len(rows), len(columns), shape[2])
    return np.einsum("ih,ijc,jw->hwc", rows, square, columns)


def _means(sums, noise, counts, n, radius, count, shape):
    """Posterior means [K, t] of the coefficients of each class from its noised sums S_k, with noise of deviation nu.

    What the classes have in common, c = sum_k S_k / n, and what is left of each, S_k / n_k - c, are shrunk alike. The
    variances of their noise are K nu^2 / n^2 and nu^2 (1 / n_k^2 - 2 / (n_k n) + K / n^2).
    """
    classes, each = len(sums), counts[:, None]
    common = sums.sum(0, keepdims=True) / n
    variance = np.square(noise) * classes / n**2
    of_own = np.square(noise) * (1 / each**2 - 2 / (each * n)) + variance
    own = _shrunk(sums / each - common, np.maximum(of_own, 0.0), radius, count, shape)
    return own + _shrunk(common, variance[None], radius, count, shape)


def _shrunk(means, variance, radius, count, shape):
    """Posterior means of coefficients [k, t] with noise of these variances: that of frequency (i, j) has a prior
    variance of kappa / (1 + i + j)^2, kappa such that their squares add up to what is observed beyond the noise and a
    standard error of it, or to the square of the radius where that is less.
    """
    i, j = (np.arange(min(side, count)) for side in shape[:2])
    prior = 1.0 / np.square(1.0 + i[:, None, None] + j[None, :, None])
    prior = np.broadcast_to(prior, (len(i), len(j), shape[2])).reshape(-1)
    beyond = np.square(means) - variance
    beyond = beyond.sum() - np.sqrt(2.0 * np.square(variance).sum())
    prior = min(max(float(beyond) / len(means), 0.0), radius**2) / prior.sum() * prior
    return means * prior / np.maximum(prior + variance, 1e-30)
