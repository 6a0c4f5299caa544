"""A space for colour images without a network: how much an image has of each principal component of the pool.

A code says which colours an image has and roughly where. The way back keeps what a code does not say: of the image of
the pool whose code is nearest, the components become those of the code, and the rest stays. So draws have the texture
of public images, and the colours of the members. Measured beside spectrum.py: README.md.
"""

import numpy as np
from sklearn import decomposition

from fpu import neighbours
from fpu.models import Spec
from fpu.priors import Space
from fpu.priors.spectrum import SIZE, WHITENING, differences

_FITTED = 5000  # images of the pool of which they are the principal components


def space(images: np.ndarray, classes: np.ndarray | None, spec: Spec) -> Space:
    """The space of a pool of public images uint8 [m, H, W, C] with classes int [m] or None.

    Numbers have mean 0 over the pool. The components are those of differences within a class.

    **Guarantees.** The code of an image depends on it and on the pool alone.
    """
    pick = np.random.default_rng(0).permutation(len(images))[:_FITTED]
    some = pixels(images[pick])
    centre, apart = some.mean(0), differences(some, None if classes is None else classes[pick])
    count = min(SIZE, *apart.shape)
    pca = decomposition.PCA(count, svd_solver="randomized", random_state=0).fit(apart)
    rows, variance = np.asarray(pca.components_), np.asarray(pca.explained_variance_)
    scale = np.maximum(variance, 1e-6 * variance[0] + 1e-12) ** -WHITENING

    def encode(images: np.ndarray) -> np.ndarray:
        return ((pixels(images) - centre) @ rows.T * scale).astype(np.float32)

    of_pool = encode(images)

    def decode(codes: np.ndarray) -> np.ndarray:
        near = neighbours.nearest(codes, of_pool)[1][:, 0]
        moved = pixels(images[near]) + (codes - of_pool[near]) / scale @ rows
        levels = np.round(255 * np.clip(moved, 0.0, 1.0))
        return levels.astype(np.uint8).reshape(-1, *spec.shape)

    return Space(encode, decode)


def pixels(images: np.ndarray) -> np.ndarray:
    """float64 [n, H W C] in [0, 1]. In 64 bits: how a machine orders its sums then says nothing in a code of 32."""
    return images.reshape(len(images), -1) / 255.0
