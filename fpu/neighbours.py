"""Nearest neighbours, exact in float64 and in bounded memory."""

from collections.abc import Callable

import numpy as np

_POINTS, _POOL = 1024, 2048  # rows compared at once


def nearest(points: np.ndarray, pool: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of `pool` closest to each point, by Euclidean distance.

    Args:
      points, pool: [n, ...] and [m, ...], uint8 images or features; rows are flattened.

    Returns: distances float64 [n, k], ascending, and row numbers int [n, k]. Where `pool` has fewer than k rows,
    the rest is at infinite distance with row number -1.

    Equal rows are at distance 0. |x|^2 + |y|^2 - 2 x.y, which finds the rows, rounds (whole numbers below 2^53
    do not); the distances to the rows found are therefore computed again from the differences.
    """
    distances = np.full((len(points), k), np.inf)
    rows = np.full((len(points), k), -1)
    for start in range(0, len(points), _POINTS):
        part = slice(start, start + _POINTS)
        x = flat(points[part])
        for first in range(0, len(pool), _POOL):
            y = flat(pool[first : first + _POOL])
            squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
            for _ in range(min(k, len(y))):
                column = squares.argmin(1)[:, None]
                exact = np.sqrt(np.square(x - y[column[:, 0]]).sum(1))[:, None]
                np.put_along_axis(squares, column, np.inf, axis=1)
                distances[part], rows[part] = _with(
                    distances[part], rows[part], exact, first + column
                )
    return distances, rows


def _with(distances, rows, distance, row):
    """The k least of [b, k] distances and one more for each of b points, with their rows."""
    distances, rows = np.hstack([distances, distance]), np.hstack([rows, row])
    order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


def distance(points: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """float64 [n]: the distance of each point to the closest row of `pool`; infinite if `pool` is empty."""
    return nearest(points, pool)[0][:, 0]


def flat(rows: np.ndarray) -> np.ndarray:
    """float64 [n, d] of [n, ...]."""
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:]))).astype(np.float64)


def on_distinct(
    function: Callable[[np.ndarray], np.ndarray], *sets: np.ndarray
) -> list[np.ndarray]:
    """[function(rows) for rows in sets], with equal values for equal rows.

    A matrix product or a network rounds a row differently at another place of a batch, and then copies are not
    at distance 0. Here it is called once, on the distinct rows of all sets.

    Args:
      function: [n, ...] -> [n, ...], row by row; never called on an empty array.
      sets: arrays [n_i, ...] of one shape behind the first axis, not all empty.
    """
    rows = np.concatenate(sets)
    _, first, inverse = np.unique(
        rows.reshape(len(rows), -1), axis=0, return_index=True, return_inverse=True
    )
    values = function(rows[first])[inverse.reshape(-1)]
    return np.split(values, np.cumsum([len(each) for each in sets])[:-1])
