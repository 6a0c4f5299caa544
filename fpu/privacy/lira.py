"""LiRA, the likelihood-ratio membership attack (arXiv:2112.03570): the shadows' members and the ratio of their scores.

Shadow models are trained as the attacked one was, each on a random half of the targets. Every target then
has scores of models that were trained on it and of models that were not, and the attacked model's score is compared
with both. That some images have higher scores than others in every model cancels.
"""

import numpy as np
from numpy.typing import ArrayLike

_OWN_VARIANCE = 32  # shadows on each side, from which each target has a variance of its own
_ROUNDING = 1e-6  # of the largest score: rounding of float32 scores


def masks(n_units: int, shadows: int, rng: np.random.Generator) -> np.ndarray:
    """Which units are members of which shadow: bool [shadows, n_units].

    Shadows come in pairs, a random half and the other half: each unit is in exactly half of the shadows,
    and each shadow holds half of the units (of an odd number, one more or one less).

    Raises ValueError unless `shadows` is even.
    """
    if shadows % 2:
        raise ValueError(f"shadows come in pairs: {shadows} is odd")
    half = np.arange(n_units) < n_units // 2
    first = rng.permuted(np.tile(half, (shadows // 2, 1)), axis=1)
    return np.stack([first, ~first], axis=1).reshape(shadows, n_units)


def ratio(target: ArrayLike, shadow: ArrayLike, inside: ArrayLike) -> np.ndarray:
    """log p(target score | in) - log p(target score | out) of every unit: float64 [n], higher = a member.

    The online attack (algorithm 1) on the scores as they are, where the paper takes logits of confidences: a
    normal distribution on each side, with the unit's own mean. From 32 shadows on each side the variance is the
    unit's own too; with fewer, all units share one variance for each side. No variance is below the rounding of
    the scores.

    Args:
      target: scores [n] of the attacked model.
      shadow: scores [S, n] of the shadow models.
      inside: bool [S, n], `masks`; two shadows or more on each side of each unit.

    Returns: NaN for a unit with a score that is not finite (and for all, where variances are shared).
    Raises ValueError for fewer than two on a side: one score has no variance.
    """
    target, shadow = np.asarray(target, np.float64), np.asarray(shadow, np.float64)
    inside = np.asarray(inside, bool)
    largest = np.abs(shadow[np.isfinite(shadow)]).max(initial=0.0)
    least = (_ROUNDING * largest) ** 2 + float(np.finfo(np.float64).tiny)
    logs = []
    with np.errstate(invalid="ignore"):
        for side in (inside, ~inside):
            count = side.sum(axis=0)
            if count.min() < 2:
                raise ValueError("a unit needs two shadows with it and two without, or more")
            mean = np.where(side, shadow, 0.0).sum(axis=0) / count
            squares = np.where(side, (shadow - mean) ** 2, 0.0).sum(axis=0)
            own = count.min() >= _OWN_VARIANCE
            variance = squares / (count - 1) if own else squares.sum() / (count - 1).sum()
            variance = np.maximum(variance, least)
            logs.append(-0.5 * (np.log(variance) + (target - mean) ** 2 / variance))
        return logs[0] - logs[1]
