"""One step's batch: secret keys, Poisson sampling of privacy units with static shapes, one image of each."""

import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fpu.dp import sharding
from fpu.dp.plan import Plan

IMPLEMENTATION = "threefry2x32"  # of all keys: under a vmap each of them draws what it draws alone


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StepKey:
    """The secret key of one step of a plan; any other plan refuses it."""

    key: jax.Array
    plan: Plan = dataclasses.field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """One step's Poisson sample, with static shapes, the keys of that step and the plan that drew it."""

    examples: Any  # the data's rows [B, ...]; B = capacity, or a device's share of it
    valid: jax.Array  # bool [B]; the others are padding
    keys: jax.Array  # typed keys [B], one for each example's own draws
    noise_key: jax.Array
    plan: Plan = dataclasses.field(metadata={"static": True})
    axis: str | None = dataclasses.field(default=None, metadata={"static": True})


def keys(plan: Plan) -> Iterator[StepKey]:
    """One secret key for each of the plan's steps, from the operating system's randomness (64 bits).

    **Guarantees.** No two steps share a key, and there are as many as the plan has steps. Keys are
    as secret as the data, and are stored nowhere: a loop that must be repeatable makes its own by
    jax.random.fold_in(root, step), and its guarantee does not hold against anyone who knows the root.
    """
    root = fresh_key()
    return (StepKey(jax.random.fold_in(root, step), plan) for step in range(plan.sgd().steps))


def fresh_key() -> jax.Array:
    """A secret typed key, of 64 bits of the operating system's randomness.

    **Guarantees.** No two calls give the same key but by chance, and it is stored nowhere.
    """
    words = jnp.asarray(np.frombuffer(os.urandom(8), np.uint32))
    return jax.random.wrap_key_data(words, impl=IMPLEMENTATION)


def sample(
    plan: Plan,
    key: StepKey | jax.Array,
    data: Any,
    *,
    mask: jax.Array | None = None,
    units: tuple[jax.Array, jax.Array] | None = None,
    axis: str | None = None,
) -> Batch:
    """Draw one step's batch: every privacy unit on its own, with the plan's probability.

    Args:
      plan: with a DP-SGD stage.
      key: one of keys(plan), or a secret typed key of this step, used for this call alone.
      data: pytree of arrays with a leading axis of rows; n rows, a row a privacy unit, unless `mask` or
        `units` is given. Give it to a jitted step as an argument: what a step closes over ends in XLA's
        compilation cache.
      mask: bool [U], which units are members, at most n of them. The others are never drawn.
      units: (table int32 [U, m], sizes int32 [U]) where units are groups of rows: see `one_of`.
      axis: a mesh axis, inside shard_map: this device's share of the batch (sharding.py).

    Raises, when it is traced:
      ValueError: the data do not hold n units; the key is another plan's.
      TypeError: the key is none, or not of Threefry.

    **Guarantees.** Those of `poisson`, at the plan's rate and capacity, and of `one_of`. An example's own key
    is that of its unit, so who else was drawn does not change what it draws. Cannot be checked here:
    that the key is secret and of this step alone, that the data are what the unit says (rows of one person
    are several units), and that a traced mask holds at most n.
    """
    sgd, count = plan.sgd(), _unit_count(plan, data, mask, units)
    if isinstance(key, StepKey):
        if key.plan != plan:
            raise ValueError("the key is of another plan: take it from dp.keys of this plan")
        key = key.key
    dtype: Any = getattr(key, "dtype", None)
    if not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError("key must be a typed key: one of dp.keys(plan), or of jax.random.key")
    if str(jax.random.key_impl(key)) != IMPLEMENTATION:
        raise TypeError(
            f"key must be of {IMPLEMENTATION}: others draw for an example what its neighbours in a batch change"
        )
    k_sample, k_unit, k_example, k_noise = jax.random.split(key, 4)
    everyone = jnp.ones(count, bool) if mask is None else mask
    drawn, valid = poisson(k_sample, everyone, sgd.sampling_rate, sgd.capacity)
    if axis is not None:
        drawn, valid = sharding.share(drawn, valid, axis)
    rows = drawn if units is None else one_of(k_unit, drawn, *units)
    examples = jax.tree.map(lambda x: jnp.asarray(x)[rows], data)
    own = jax.vmap(jax.random.fold_in, (None, 0))(k_example, drawn)
    return Batch(examples, valid, own, k_noise, plan, axis)


def _unit_count(plan: Plan, data, mask, units) -> int:
    """U, the units that may be drawn; ValueError where they are not those of the plan."""
    n = plan.sgd().n
    count = n if mask is None else len(mask)
    if units is not None:
        if len(units[1]) != count:
            raise ValueError(
                f"{len(units[1]):,} groups were given, not {count:,} as the plan or mask says"
            )
    else:
        for leaf in jax.tree.leaves(data):
            if np.shape(leaf)[:1] != (count,):
                raise ValueError(
                    f"the plan is for n = {n:,} rows, but an array of shape {np.shape(leaf)} was given: make "
                    "the plan for n = len(data), or give a mask of the members"
                )
    if mask is not None and not isinstance(mask, Tracer) and int(mask.sum()) > n:
        raise ValueError(
            f"the plan is for n = {n:,} units, but the mask has {int(mask.sum()):,} members"
        )
    return count


def poisson(key: jax.Array, mask: jax.Array, q: float, slots: int) -> tuple[jax.Array, jax.Array]:
    """Draw every masked-in unit independently with probability q; keep at most `slots` of them.

    Args:
      key: secret typed key of this step. Amplification by sampling needs it secret.
      mask: bool [U], the units that are members.
      q: sampling probability in (0, 1], static.
      slots: length of the result, static. It may exceed U. More than `slots` draws are truncated uniformly.

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
    best, indices = jax.lax.top_k(score, min(slots, len(mask)))
    unused = max(slots - len(mask), 0)  # fewer units than the public n
    return jnp.pad(indices.astype(jnp.int32), (0, unused)), jnp.pad(best > 0, (0, unused))


def one_of(key: jax.Array, units: jax.Array, table: jax.Array, sizes: jax.Array) -> jax.Array:
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
