"""Public priors: images made by code or named by the user, and a space in which they lie.

A prior is public by type: nothing in this folder takes a private example, but for the release (release.py), which
returns noised sums. To add a prior, write one file here and add its name to PRIORS. The file exports

    VERSION, KNOWS                   a string that changes whenever its images would; one sentence of what it knows
    make(rng, n, spec)               -> (uint8 [n, H, W, C], int32 [n] classes of its own, or None)
    vary(key, images, spec)          other public images close to these; absent where there is no such thing
    space(images, classes, spec)     -> Space; absent: the space of spectrum.py

Everything else (release, draws, training, report) then works on it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Space(NamedTuple):
    """A public map from images to codes, and back where it can."""

    encode: Callable[..., np.ndarray]  # uint8 [n, H, W, C] -> float32 [n, d]; one row sees one image
    decode: Callable[..., np.ndarray] | None  # float32 [n, d] -> uint8 [n, H, W, C]


class Prior(NamedTuple):
    """A prior for images of one shape: its pool of images, with their codes."""

    name: str
    version: str
    knows: str
    images: np.ndarray  # uint8 [m, H, W, C]
    codes: np.ndarray  # float32 [m, d]
    space: Space
    radius: float  # codes are clipped to this norm before they are added; public
    within: np.ndarray  # float32 [d, d], covariance of codes within a class of the pool
    vary: Callable[..., np.ndarray] | None  # (key, uint8 [n, H, W, C]) -> the same shape
