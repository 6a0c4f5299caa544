"""How bright members are and how much they differ, by place: what the clearest images of a pool do not say.

Such images tell classes apart, and need be neither as bright as the members nor as different from one another. Let
m_k and v_k be mean and variance, pixel by pixel, of the images drawn for class k, and x a member of class y. Two maps
of low frequencies are released,

    a = mean of x - m_y,        b = mean of (x - m_y)^2 - v_y, less a^2,

and a draw x of class k becomes m_k + a + (x - m_k) sqrt((v_k + b) / v_k), the ratio LEAST to MOST. Low frequencies are
the first coefficients of an orthonormal cosine transform.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from fpu.dp import moments
from fpu.dp.rows import each_alone
from fpu.models.frequencies import cosines

SHARE = 0.1  # of the release's 1 / sigma^2
MEAN, SQUARE = 8, 4  # frequencies each way of a and of b, in each channel
PART = 0.6**0.5  # weight of a's part of a term; that of b's is sqrt(1 - PART^2)
RADIUS = 2.0  # times the median norm of a part of what is drawn: terms of which both parts are as long have norm 1
LEAST, MOST = 0.25, 4.0
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
    """float32 [T]: the coefficients of a, then of b.

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
    sums, _ = moments.embeddings(terms, np.zeros(len(terms), int), 1, key, std)
    means = np.asarray(sums[0], np.float64) / (denominator * weight)
    noise = std / (denominator * weight * (1.0 - moments.COUNT**2) ** 0.5)
    (of_a, of_square), (noise_a, noise_square) = (np.split(x, sizes[:1]) for x in (means, noise))
    a = _shrunk(of_a, noise_a, radii[0], MEAN, shape)
    square = _shrunk(of_square, noise_square, radii[1], SQUARE, shape)
    # b = mean of (x - m_y)^2 - v_y, less a^2.
    b = square - _low(np.square(_map(a, MEAN, shape))[None], SQUARE)[0]
    return np.concatenate([a, b]).astype(np.float32)


def moved(
    images: np.ndarray, labels: np.ndarray, drawn: Sequence[np.ndarray], released: np.ndarray
) -> np.ndarray:
    """uint8 [n, H, W, C]: images drawn for classes `labels`, as bright and as different as `released` says.

    Args:
      drawn: as in `fit`, whose result is `released`.
    """
    shape, of = images.shape[1:], maps(drawn)
    a, b = np.split(np.asarray(released, np.float64), _sizes(shape)[:1])
    ratio = (of.variance + _map(b, SQUARE, shape)[None]) / of.variance
    gain = np.sqrt(np.clip(ratio, LEAST, MOST))
    pixels = images / 255.0 - of.mean[labels]
    pixels = of.mean[labels] + _map(a, MEAN, shape)[None] + pixels * gain[labels]
    return np.round(255.0 * np.clip(pixels, 0.0, 1.0)).astype(np.uint8)


def _terms(images, labels, of):
    """Low frequencies of x - m_y and of (x - m_y)^2 - v_y, float64 [n, T]."""
    # Row 0 is empty: each_alone fills up with it.
    images = np.concatenate([np.zeros((1, *images.shape[1:]), np.uint8), images])
    labels = np.concatenate([[0], labels])

    def some(rows):
        y = labels[rows]
        pixels = images[rows] / 255.0 - of.mean[y]
        return np.concatenate(
            [_low(pixels, MEAN), _low(np.square(pixels) - of.variance[y], SQUARE)], axis=1
        )

    return each_alone(some, np.arange(1, len(images)))


def _sizes(shape):
    """How many coefficients a and b have."""
    height, width, channels = shape
    return [min(height, k) * min(width, k) * channels for k in (MEAN, SQUARE)]


def _low(maps, count):
    """The first coefficients [n, k * k * C] of maps [n, H, W, C]."""
    rows, columns = (cosines(side)[:count] for side in maps.shape[1:3])
    return np.einsum("ih,nhwc,jw->nijc", rows, maps, columns, optimize=True).reshape(len(maps), -1)


def _map(coefficients, count, shape):
    """The map [H, W, C] of these first coefficients."""
    rows, columns = (cosines(side)[:count] for side in shape[:2])
    square = coefficients.reshape(len(rows), len(columns), shape[2])
    return np.einsum("ih,ijc,jw->hwc", rows, square, columns)


def _shrunk(means, noise, radius, count, shape):
    """Posterior means of coefficients with noise of these deviations: that of frequency (i, j) has a prior variance
    of kappa / (1 + i + j)^2, kappa such that their squares add up to what is observed beyond the noise, or to the
    square of the radius where that is less.
    """
    i, j = (np.arange(min(side, count)) for side in shape[:2])
    prior = 1.0 / np.square(1.0 + i[:, None, None] + j[None, :, None])
    prior = np.broadcast_to(prior, (len(i), len(j), shape[2])).reshape(-1)
    beyond = float((np.square(means) - np.square(noise)).sum())
    kappa = min(max(beyond, 0.0), radius**2) / prior.sum()
    return means * kappa * prior / np.maximum(kappa * prior + np.square(noise), 1e-30)
