"""The noised sums of the one-shot release: where the data lie, then first and second moments by class.

One noise multiplier sigma pays for a few sums over all units, each of which may be shaped by the
noised ones before it. Sum j has noise sigma / sqrt(share_j) on terms of l2 norm at most 1, and the shares
add up to 1. Such adaptively chosen Gaussian mechanisms compose to mu-GDP with

    mu^2 = sum_j share_j / sigma^2 = 1 / sigma^2        (arXiv:1905.02383, corollary 3.3),

the trade-off curve of ONE release with sigma, which is what `plan.Release` tells the accountant.

Every function takes one row for each unit (see sampling.one_of for groups). A unit's term puts several parts side by
side, each times a public weight, the squares of the weights adding up to 1: so its norm is at most 1 where each part's
is. What is returned are the noised sums divided by their weights. What follows is post-processing.

Rows are clipped, added and noised in float64: all members are in each sum, in an order that is public, and
thousands of float32 roundings in a row can move it by far more than its one term (arXiv:2207.10635).
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from fpu.dp import noise

# Weights of the parts of a term, squares adding up to 1. They are public and were tuned on public data.
ENERGY = 0.3  # of the energies beside the coordinates
COUNT, SQUARE = 0.2, 0.4  # of the count and the shared second moment beside the class sum
CLASS_SQUARE = 0.8  # of a class's own second moment beside its class sum


def energies(
    z: ArrayLike, half: float, bands: ArrayLike, key: jax.Array, std: float
) -> tuple[jax.Array, jax.Array]:
    """Noised sums over units of (z, energies of z by band).

    Args:
      z: float32 [N, d], of norm at most `half`.
      bands: float32 [d, b], one-hot: the band of each coordinate.
      std: noise on terms of norm 1.

    Returns: float32 ([d], [b]).

    **Guarantees.** A term is (a z / half, e), with a^2 + ENERGY^2 = 1 and e ENERGY times the squares of z /
    half added by band, so |e|_2 <= ENERGY |z / half|^2: its norm is at most 1 where |z| <= half, and is
    clipped to 1 where that fails. A row that is not finite counts for nothing.
    """
    a, u = (1.0 - ENERGY**2) ** 0.5, np.asarray(z, np.float64) / half
    # Term (a u, ENERGY e), e_k the sum of u_i^2 over band k. |e| <= |u|^2, so |term|^2 <= a^2 |u|^2 + ENERGY^2 |u|^4.
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [a * u, ENERGY * (np.square(u) @ np.asarray(bands, np.float64))]
    summed = _clipped(np.concatenate(parts, axis=1)).sum(0)
    (noised,) = _noised((summed,), key, std)
    return noised[: u.shape[1]] * half / a, noised[u.shape[1] :] * half**2 / ENERGY


def moments(
    z: ArrayLike, labels: ArrayLike, n_classes: int, radius: float, key: jax.Array, std: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Noised class sums, class counts and shared second moment of z, each row clipped to `radius`.

    Returns: ([K, d], [K], symmetric [d, d]). The second moment's diagonal has noise of std *
    radius^2 / SQUARE, its other entries of 1 / sqrt(2) of that.

    **Guarantees.** A term is (a u in the block of its class, COUNT in the count of its class, SQUARE u u^T in
    one shared block) with |u| <= 1, and |u u^T| = |u|^2: its squared norm is at most a^2 + COUNT^2 +
    SQUARE^2 = 1. A row that is not finite counts as one at the origin.
    """
    u, hot = _clipped(np.asarray(z, np.float64) / float(radius)), _one_hot(labels, n_classes)
    a = (1.0 - COUNT**2 - SQUARE**2) ** 0.5
    # Sums over units i of class y_i: a u_i in row y_i, COUNT in entry y_i, SQUARE u_i u_i^T.
    summed = a * (hot.T @ u), COUNT * hot.sum(0), SQUARE * (u.T @ u)
    sums, counts, square = _noised(summed, key, std)
    # (S + S^T) / 2: symmetric, and noise off the diagonal is less by sqrt(2).
    return sums * radius / a, counts / COUNT, (square + square.T) * radius**2 / (2 * SQUARE)


def class_moments(
    z: ArrayLike, labels: ArrayLike, n_classes: int, radius: float, key: jax.Array, std: float
) -> tuple[jax.Array, jax.Array]:
    """Noised class sums of z and of z z^T, each row clipped to `radius`.

    Returns: ([K, r], symmetric [K, r, r]); noise as in `moments`, with CLASS_SQUARE for SQUARE.

    **Guarantees.** A term is (a u, CLASS_SQUARE u u^T), both in the block of its class, with |u| <= 1 and
    a^2 + CLASS_SQUARE^2 = 1: its norm is at most 1.
    """
    u, hot = _clipped(np.asarray(z, np.float64) / float(radius)), _one_hot(labels, n_classes)
    a = (1.0 - CLASS_SQUARE**2) ** 0.5
    # Sums over the units i of each class: a u_i, and CLASS_SQUARE u_i u_i^T.
    square = np.stack([(u * in_class[:, None]).T @ u for in_class in hot.T])
    sums, square = _noised((a * (hot.T @ u), CLASS_SQUARE * square), key, std)
    square = square + square.transpose(0, 2, 1)
    return sums * radius / a, square * radius**2 / (2 * CLASS_SQUARE)


def component_moments(
    z: ArrayLike,
    labels: ArrayLike,
    components: ArrayLike,
    n_classes: int,
    n_components: int,
    radius: float,
    key: jax.Array,
    std: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Noised sums of z and counts by class and component, and sums of z z^T by class, rows clipped to `radius`.

    Args:
      components: ints [N] in 0..n_components-1. A row's own depends on that row and on what is noised already.

    Returns: float32 ([K, M, d], [K, M], symmetric [K, d, d]); noise as in `moments`, with CLASS_SQUARE for SQUARE.

    **Guarantees.** A term is (a u in the block of its class and component, COUNT in their count, CLASS_SQUARE u u^T
    in the block of its class), with |u| <= 1 and a^2 + COUNT^2 + CLASS_SQUARE^2 = 1: its norm is at most 1.
    A row that is not finite counts as one at the origin.
    """
    u = _clipped(np.asarray(z, np.float64) / float(radius))
    labels, components = np.asarray(labels, int), np.asarray(components, int)
    hot, cells = _one_hot(labels, n_classes), (n_classes, n_components)
    cell = _one_hot(labels * n_components + components, n_classes * n_components)
    a = (1.0 - COUNT**2 - CLASS_SQUARE**2) ** 0.5
    # Sums over units i of class y_i and component c_i: a u_i and COUNT by (y_i, c_i), CLASS_SQUARE u_i u_i^T by y_i.
    square = np.stack([(u * in_class[:, None]).T @ u for in_class in hot.T])
    summed = a * (cell.T @ u).reshape(*cells, -1), COUNT * cell.sum(0).reshape(cells)
    sums, counts, square = _noised((*summed, CLASS_SQUARE * square), key, std)
    square = square + square.transpose(0, 2, 1)
    return sums * radius / a, counts / COUNT, square * radius**2 / (2 * CLASS_SQUARE)


def embeddings(
    features: ArrayLike, labels: ArrayLike, n_classes: int, key: jax.Array, std: float
) -> tuple[jax.Array, jax.Array]:
    """Noised class sums of rows of features, each clipped to norm 1, and class counts.

    Returns: float32 ([K, D], [K]); noise of std / sqrt(1 - COUNT^2) and of std / COUNT.

    **Guarantees.** A term is (a phi in the block of its class, COUNT in the count of its class) with |phi| <= 1
    and a^2 + COUNT^2 = 1: its norm is at most 1. A row that is not finite counts as one at the origin.
    """
    u, hot = _clipped(np.asarray(features, np.float64)), _one_hot(labels, n_classes)
    a = (1.0 - COUNT**2) ** 0.5
    # Sums over units i of class y_i: a phi_i in row y_i, COUNT in entry y_i.
    sums, counts = _noised((a * (hot.T @ u), COUNT * hot.sum(0)), key, std)
    return sums / a, counts / COUNT


def votes(cells: ArrayLike, count: int, key: jax.Array, std: float) -> jax.Array:
    """Noised numbers of rows in each of `count` cells, float32 [count]; cells: ints [N], a row's own.

    **Guarantees.** A term is 1 in one cell, or nothing where there is no such cell: its norm is at most 1.
    """
    cells = np.asarray(cells)
    inside = cells[(cells >= 0) & (cells < count)]
    return _noised((np.bincount(inside, minlength=count).astype(np.float64),), key, std)[0]


def _clipped(rows):
    """Rows x / max(|x|, 1) [N, D]; one that is not finite, or whose norm is not, is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows, axis=1)
    used = np.isfinite(norms)
    scale = np.where(used, 1.0 / np.maximum(norms, 1.0), 0.0)
    return np.where(used[:, None], rows, 0.0) * scale[:, None]


def _one_hot(labels, n_classes: int):
    return (np.asarray(labels)[:, None] == np.arange(n_classes)[None]).astype(np.float64)


def _noised(sums, key, std):
    """float32 sums with noise, drawn and added in float64: rounding comes after it. All share one draw."""
    sizes = [x.size for x in sums]
    draw = std * noise.normal_on_host(key, sum(sizes))
    parts = np.split(draw, np.cumsum(sizes)[:-1])
    return tuple(
        jnp.asarray(x + part.reshape(x.shape), jnp.float32)
        for x, part in zip(sums, parts, strict=True)
    )
