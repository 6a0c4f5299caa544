"""Feature networks: embed(images uint8 [n, H, W, C]) -> float64 [n, 64].

Features have mean 0 and variance 1 on the real images `scale` (the first 2,000), so that no unit
rules a distance by its size alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fpu.utility import classifier

_SCALE = 2000
Embed = Callable[[np.ndarray], np.ndarray]


def domain(
    images: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    seed: int,
    steps: int,
    scale: np.ndarray,
) -> tuple[Embed, Any]:
    """The layer before the last of a classifier trained on real images that are compared with nothing.

    Args:
      images, labels: uint8 [n, H, W, C] and ints [n], the reference set.
      seed: public. steps: of the training.
      scale: uint8 [., H, W, C] to standardise on.

    Returns: embed, and the classifier's parameters (for classifier.logits).
    """
    params = classifier.train(images, labels, n_classes, seed=seed, steps=steps)
    return _standardised(params, scale), params


def random(shape: Sequence[int], n_classes: int, *, seed: int, scale: np.ndarray) -> Embed:
    """embed of an untrained network for images of `shape` (H, W, C): it prefers no class."""
    return _standardised(classifier.initial(shape, n_classes, seed), scale)


def _standardised(params, scale):
    features = classifier.features(params, scale[:_SCALE]).astype(np.float64)
    centre, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 1e-6, spread, 1.0)  # a unit that never varies carries no information
    return lambda images: (classifier.features(params, images) - centre) / spread
