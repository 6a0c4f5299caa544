"""Points of known distribution that the tests of fpu/fidelity share."""

import numpy as np


def rng(seed=0):
    return np.random.default_rng(seed)


def everywhere(metric, real, fake, labels=None):
    """The value of a metric of fpu.fidelity on all rows."""
    labels = np.zeros(len(real), int) if labels is None else labels
    return metric(real, fake, labels)(np.arange(len(real)), np.arange(len(fake)))


def mixture(seed, classes=5, each=40, d=16):
    """Features of `classes` well-separated classes, and their labels."""
    labels = np.repeat(np.arange(classes), each)
    centres = 3 * rng(99).standard_normal((classes, d))
    return centres[labels] + 0.5 * rng(seed).standard_normal((len(labels), d)), labels


def pictures(n, seed):
    return rng(seed).integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
