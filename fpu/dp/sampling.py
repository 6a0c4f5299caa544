"""Poisson sampling of privacy units with static shapes."""

import math

import jax
import jax.numpy as jnp


def poisson(key, mask, q: float, slots: int):
    """Draw every masked-in unit independently with probability q; keep at most `slots` of them.

    Args:
      key: secret typed key of this step. Amplification by sampling needs it secret.
      mask: bool [U], the units that are members.
      q: sampling probability in (0, 1], static.
      slots: length of the result, static. More than `slots` draws are truncated uniformly.

    Returns:
      (indices int32 [slots] into the mask, valid bool [slots]). Slots that are not valid hold an
      arbitrary unit and must be masked out.

    **Guarantees.** Each unit is drawn with probability floor(q * 2^32) / 2^32 <= q (a comparison of
    32 random bits with an integer: no rounding upwards, unlike a float32 uniform, which has 23 bits).
    Given that a unit is drawn its bits are uniform below the threshold, so keeping the `slots`
    smallest keeps a uniformly random subset, as TruncatedSubsampledGaussianDpEvent assumes. Draws
    are pairwise independent across units and, with distinct keys, across steps. An empty draw is an
    ordinary result. Ties in 31 bits favour the lower index: only at the truncation boundary, with
    probability below U * 2^-31 a step.
    """
    bits = jax.random.bits(key, mask.shape, jnp.uint32)
    drawn = mask if q >= 1 else mask & (bits < jnp.uint32(math.floor(q * 2**32)))
    # `| 1` keeps every drawn unit above the 0 of those not drawn.
    score = jnp.where(drawn, ~bits | jnp.uint32(1), jnp.uint32(0))
    best, indices = jax.lax.top_k(score, slots)
    return indices.astype(jnp.int32), best > 0


def one_of(key, units, table, sizes):
    """One uniformly random image of each unit: [slots] units to [slots] rows of the pool.

    Args:
      key: secret typed key of this step.
      units: int32 [slots], as `poisson` returns them.
      table: int32 [U, m], the rows that belong to each unit, padded.
      sizes: int32 [U], how many entries of each row of `table` count; at least 1.

    **Guarantees.** A unit contributes one image a step however many it holds, so clipping that image's
    gradient to C bounds the whole unit's contribution by C. What one unit gives does not depend on
    which others were drawn. (Modulo bias: below m * 2^-32.)
    """
    bits = jax.random.bits(key, sizes.shape, jnp.uint32)[units]
    return table[units, (bits % sizes[units].astype(jnp.uint32)).astype(jnp.int32)]
