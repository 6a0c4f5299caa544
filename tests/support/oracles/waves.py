"""Numbers that look random and are the same everywhere: they use no random stream, only sines."""

import numpy as np


def wave(shape, phase):
    """Scattered float64 numbers in [-1, 1] of any shape."""
    return np.sin(np.arange(np.prod(shape, dtype=int), dtype=float) ** 1.5 + phase).reshape(shape)


def pair(n_real, n_fake, d):
    """Features (real [n_real, d], fake [n_fake, d]) that overlap in part."""
    return wave((n_real, d), 0.0), 1.2 * wave((n_fake, d), 7.0) + 0.3


PAIRS = {"narrow": (120, 120, 3), "wide": (90, 90, 40), "uneven": (150, 100, 5)}
LABELS = (0, 0, 1, 2)  # over and over: the classes of the fake features
