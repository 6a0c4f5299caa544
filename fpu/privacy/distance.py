"""Nearest records: how far images are from the closest image of a set. Descriptive only."""

import numpy as np

_QUERIES, _POOL = 1024, 2048  # images in flight at once


def nearest(images, pool):
    """Euclidean pixel distance [n] from each uint8 image to the closest of `pool`, in grey levels.

    Exact: whole numbers below 2**53 do not round in float64, so a copy is at distance 0. An empty
    pool is at infinite distance.
    """
    best = np.full(len(images), np.inf)
    for i in range(0, len(images), _QUERIES):
        query = images[i : i + _QUERIES].reshape(len(images[i : i + _QUERIES]), -1).astype(float)
        for j in range(0, len(pool), _POOL):
            block = pool[j : j + _POOL].reshape(len(pool[j : j + _POOL]), -1).astype(float)
            squares = (query**2).sum(1)[:, None] + (block**2).sum(1) - 2 * query @ block.T
            best[i : i + _QUERIES] = np.minimum(best[i : i + _QUERIES], squares.min(1))
    return np.sqrt(best)
