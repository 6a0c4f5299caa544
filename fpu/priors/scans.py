"""Grey medical images of many kinds, drawn by code: layers, chests, sections, echoes, cells, textures.

A public mixture, the same for all data: what members look like says the release. Classes are the kinds.
"""

import numpy as np

from fpu.models import Spec
from fpu.priors import chest, layers, phantoms

VERSION = "1"
KNOWS = (
    "no real image: retinal layers, chests, sections, echoes, cells and textures drawn by code, from what textbooks "
    "say of how such images look and of how disease shows in them"
)
SHARES = ((layers, 0.4), (chest, 0.3), (phantoms, 0.3))
_CHUNK = 1000  # images drawn at once


def make(rng: np.random.Generator, n: int, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of any side.

    Returns: (uint8 [n, H, W, 1], int32 [n]: the kinds of layers, then those of chests, then those of phantoms).
    """
    height, width, _ = spec.shape
    images, classes = np.zeros((n, height, width, 1), np.uint8), np.zeros(n, np.int32)
    for first in range(0, n, _CHUNK):
        count = min(_CHUNK, n - first)
        counts = rng.multinomial(count, [share for _, share in SHARES])
        order, before = first + rng.permutation(count), 0
        for (family, _), part in zip(SHARES, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            if len(part):
                drawn, kind = family.draw(rng, len(part), height, width)
                images[part, ..., 0] = np.round(255 * np.clip(drawn, 0.0, 1.0))
                classes[part] = before + kind
            before += family.KINDS
    return images, classes
