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


def images():
    """One picture uint8 [1, 20, 30, 3], neither square nor grey."""
    return np.round(127.5 + 127.5 * wave((1, 20, 30, 3), 3.0)).astype(np.uint8)


def inception(shapes):
    """{name: float32 array} of every weight, such that signals neither die nor explode."""
    found = {}
    for phase, (name, shape) in enumerate(shapes.items()):
        values = wave(shape, phase)
        if len(shape) == 4:
            values *= 2 / np.sqrt(np.prod(shape[1:]))  # the variance of a sine is 1/2
        elif name.endswith(("bn.weight", "running_var")):
            values = 1 + values / 2
        found[name] = values.astype(np.float32)
    return found
