"""Public features of an image for the private linear classifier, and how a head on them is trained.

Where there is a public prior (fpu/priors), they are codes in its space and, if it has a network, the layer before them.
Without a prior they are the frequencies of the image.

The recipes were chosen on parts of the TRAIN splits: of frequencies on digits, MNIST and PneumoniaMNIST at eps = 1, 3,
10; of codes on 20,000 images of MNIST at a third of the noise of eps = 1 and 3, which is that of 60,000.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fpu.dp.rows import each_alone
from fpu.models import frequencies
from fpu.priors import Prior, release

_POOL = 8000  # images of the pool that a map is fitted to
_WHITENING = 0.25  # exponent of its variances


class Features(NamedTuple):
    """A public map from images to rows, and the recipe of a linear head on them."""

    name: str
    # uint8 [n, H, W, C] -> float32 [n, d]; a row sees its own image
    encode: Callable[[np.ndarray], np.ndarray]
    steps: int
    noise: float  # what the noise of all steps together may move a weight by: it sets the learning rate
    fastest: float  # learning rate where there is next to no noise
    bias: float  # the constant beside the features


def of_frequencies(shape: tuple[int, ...]) -> Features:
    """Every frequency of the image, pixels centred on grey."""
    basis = np.asarray(frequencies.basis(shape).rows)

    def encode(images):
        rows = images.reshape(len(images), int(np.prod(shape))).astype(np.float32)
        pixels = rows / np.float32(255) - np.float32(0.5)
        return each_alone(lambda rows: rows @ basis.T, pixels)

    return Features("frequencies of the image", encode, 100, 0.4, 1.0, 1.0)


def of_prior(prior: Prior) -> Features:
    """Codes about their mean in the pool, in units of their median norm there; beside them the hidden layer, if any."""
    codes = prior.codes[:_POOL].astype(np.float64)
    middle = codes.mean(0)
    parts = [_unit(lambda images: release.encoded(prior, images) - middle, codes - middle)]
    name = f"codes in the space of {prior.name}"
    if prior.space.hidden is not None:
        hidden = prior.space.hidden
        examples = hidden(prior.images[:_POOL])
        centre, linear = _whitened(examples)
        parts.append(
            _unit(lambda images: (hidden(images) - centre) @ linear, (examples - centre) @ linear)
        )
        name += " and the layer before them"
    scale = len(parts) ** 0.5

    def encode(images):
        rows = np.concatenate([part(images) for part in parts], axis=1) / scale
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.maximum(norms, 1.0)).astype(np.float32)

    return Features(name, encode, 60, 2.4, 64.0, 0.3)


def _unit(function, examples):
    """`function` divided by the median norm of its values on the pool, uint8 rows in, float64 rows out."""
    norm = np.median(np.linalg.norm(examples, axis=1))
    return lambda images: each_alone(function, images) / norm


def _whitened(rows):
    """(mean, map) that makes directions in which rows vary much count less: variances ** .5 are left of variances."""
    values, vectors = np.linalg.eigh(np.cov(rows.astype(np.float64).T))
    return rows.mean(0), vectors * np.maximum(values, 1e-6 * values[-1]) ** -_WHITENING
