"""LiRA, the likelihood-ratio membership attack (arXiv:2112.03570): how shadows are drawn and what they say.

Shadow models are trained as the attacked one was, each on a random half of the targets. Every target then
has scores of models that saw it and of models that did not, and the attacked model's score is held
against both. What an image's score is like by nature, easy or hard, so drops out.
"""

import numpy as np

_OWN_VARIANCE = (
    32  # shadows on each side from which a variance of a target's own beats a shared one
)
_ROUNDING = 1e-6  # of the largest score: what float32 scores differ by for no reason


def masks(n_units: int, shadows: int, rng) -> np.ndarray:
    """Who is in which shadow: bool [shadows, n_units].

    Shadows come in pairs, a random half and the other half: each unit is in exactly half of the shadows,
    and each shadow holds half of the units (of an odd number, one more or one less).

    Raises ValueError unless `shadows` is even.
    """
    if shadows % 2:
        raise ValueError(f"shadows come in pairs: {shadows} is odd")
    half = np.arange(n_units) < n_units // 2
    first = rng.permuted(np.tile(half, (shadows // 2, 1)), axis=1)
    return np.stack([first, ~first], axis=1).reshape(shadows, n_units)


def ratio(target, shadow, inside) -> np.ndarray:
    """log p(target score | in) - log p(target score | out) of every unit: float64 [n], higher = a member.

    The online attack (algorithm 1) on the scores as they are, where the paper takes logits of confidences: a
    normal distribution on each side, with the unit's own means. Variances
    are the unit's own from 32 shadows on each side on, and with fewer those of all units together,
    one for each side. No variance is taken to be below the rounding of the scores.

    Args:
      target: scores [n] of the attacked model.
      shadow: scores [S, n] of the shadow models.
      inside: bool [S, n], who was in which; two or more on each side of each unit.

    Returns: NaN for a unit with a score that is not finite (and for all, where variances are shared).
    Raises ValueError for fewer than two on a side: a mean of one has no spread to be held against.
    """
    target, shadow = np.asarray(target, np.float64), np.asarray(shadow, np.float64)
    inside = np.asarray(inside, bool)
    least = (_ROUNDING * np.abs(shadow[np.isfinite(shadow)]).max(initial=0.0)) ** 2 + np.finfo(
        np.float64
    ).tiny
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
