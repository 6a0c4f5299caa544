"""Feature networks: embed(images uint8 [n, H, W, C]) -> float64 [n, 64].

Features have mean 0 and variance 1 on the real images `scale` (the first 2,000), so that no unit
rules a distance by its size alone.
"""

import numpy as np

from fpu.utility import classifier

_SCALE = 2000


def domain(images, labels, n_classes, *, seed, steps, scale):
    """The layer before the last of a classifier trained on real images nobody is compared with.

    Args:
      images, labels: uint8 [n, H, W, C] and ints [n], the reference set.
      seed: public. steps: of the training.
      scale: uint8 [., H, W, C] to standardise on.

    Returns: embed, and the classifier's parameters (for classifier.logits).
    """
    params = classifier.train(images, labels, n_classes, seed=seed, steps=steps)
    return _standardised(params, scale), params


def random(shape, n_classes, *, seed, scale):
    """embed of an untrained network for images of `shape` (H, W, C): it prefers no class."""
    return _standardised(classifier.initial(shape, n_classes, seed), scale)


def _standardised(params, scale):
    known = classifier.features(params, scale[:_SCALE]).astype(np.float64)
    centre, spread = known.mean(0), known.std(0)
    spread = np.where(spread > 1e-6, spread, 1.0)  # a unit that never moves has nothing to say
    return lambda images: (classifier.features(params, images) - centre) / spread
