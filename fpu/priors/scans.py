"""Grey medical images of many kinds, drawn by code: layers, chests, sections, echoes, cells, textures.

A public mixture, the same for all data: what members look like says the release. Classes are the kinds.
"""

import numpy as np

from fpu.models import Spec
from fpu.priors import chest, layers, phantoms, shapes

VERSION = "2"
KNOWS = (
    "no real image: retinal layers, chests, sections, echoes, cells and textures drawn by code, from what textbooks "
    "say of how such images look and of how disease shows in them"
)
PLAUSIBLE = 0.1  # of a kind that the members are of
FAMILIES = (
    (layers.draw, layers.KINDS, 0.4),
    (chest.draw, chest.KINDS, 0.3),
    (phantoms.draw, phantoms.KINDS, 0.3),
)


def make(rng: np.random.Generator, n: int, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of any side: `shapes.mixed`. Kinds are those of layers, then of chests, then of phantoms."""
    return shapes.mixed(rng, n, spec, FAMILIES)
