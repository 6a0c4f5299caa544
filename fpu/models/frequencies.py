"""The lowest frequencies of an image: a public basis, whatever the data."""

import functools
from typing import NamedTuple

import numpy as np

KEPT = 100  # coefficients of all channels together; an 8x8 image keeps all of its 64


class Basis(NamedTuple):
    """Orthonormal rows; public."""

    rows: np.ndarray  # [d, P]
    band: np.ndarray  # int [d], rounded frequency of each row
    indicator: np.ndarray  # [d, bands], one-hot of band


@functools.cache
def cosines(n: int) -> np.ndarray:
    """Orthonormal rows float64 [n, n] of the cosine transform of n numbers, the lowest frequency first."""
    k, i = np.arange(n)[:, None], np.arange(n)[None] + 0.5
    return np.sqrt(np.where(k == 0, 1.0, 2.0) / n) * np.cos(np.pi * k * i / n)


@functools.cache
def window(height: int, width: int) -> np.ndarray:
    """A Hann window [height, width], by which amplitudes are as large as those of a side of 28."""
    return np.outer(np.hanning(height), np.hanning(width)) * (28 / np.sqrt(height * width))


@functools.cache
def basis(shape: tuple[int, int, int]) -> Basis:
    """The lowest frequencies of the orthonormal 2-D cosine transform, each for every channel."""
    h, w, c = shape

    both = np.einsum("ih,jw->ijhw", cosines(h), cosines(w)).reshape(h * w, h * w)
    frequency = np.hypot(np.arange(h)[:, None], np.arange(w)[None]).ravel()
    lowest = np.argsort(frequency, kind="stable")[: max(64, KEPT // c)]
    band = np.repeat(np.round(frequency[lowest]).astype(int), c)
    rows = np.kron(both[lowest], np.eye(c))
    return Basis(rows.astype(np.float32), band, np.eye(band.max() + 1, dtype=np.float32)[band])
