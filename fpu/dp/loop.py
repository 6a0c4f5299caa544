"""The parts of a private training loop of one's own: keys, sample, clipped_grad. Then noise.add_noise."""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp import _bookkeeping, sampling
from fpu.dp.noise import ClippedSum
from fpu.dp.plan import Plan


class Batch(NamedTuple):
    """One step's Poisson sample, with static shapes, and the keys of that step."""

    examples: Any  # the data's rows [B, ...], B = capacity
    valid: jax.Array  # bool [B]; the others are padding
    keys: jax.Array  # typed keys [B], one for each example's own draws
    noise_key: jax.Array


def keys(plan: Plan) -> Iterator[jax.Array]:
    """One secret key for each of the plan's steps, from the operating system's randomness (64 bits).

    **Guarantees.** No two steps share a key, and there are as many as the plan has steps. Keys are
    as secret as the data, and are stored nowhere: a loop that must be repeatable makes its own by
    jax.random.fold_in(root, step), and its guarantee does not hold against anyone who knows the root.
    """
    words = jnp.asarray(np.frombuffer(os.urandom(8), np.uint32))
    root = jax.random.wrap_key_data(words, impl="threefry2x32")
    return (jax.random.fold_in(root, step) for step in range(plan.sgd().steps))


def sample(plan: Plan, key, data) -> Batch:
    """Draw one step's batch: every row of the data on its own, with the plan's probability.

    Args:
      plan: with a DP-SGD stage.
      key: secret typed key of this step, used for this call alone.
      data: pytree of arrays with a leading axis of n rows, a row a privacy unit. Give it to a jitted
        step as an argument: what a step closes over ends in XLA's compilation cache.

    Raises:
      ValueError: the data do not hold n rows. TypeError: the key is none.

    **Guarantees.** Those of sampling.poisson, at the plan's rate and capacity. Cannot be checked here:
    that the key is secret and of this step alone, and that the data are what the unit says: rows of
    one person are several units.
    """
    sgd = plan.sgd()
    if not jnp.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise TypeError("key must be a typed key: one of dp.keys(plan), or of jax.random.key")
    for leaf in jax.tree.leaves(data):
        if np.shape(leaf)[:1] != (sgd.n,):
            raise ValueError(
                f"the plan is for n = {sgd.n:,} rows, but an array of shape {np.shape(leaf)} was given: make "
                "the plan for n = len(data)"
            )
    k_sample, k_example, k_noise = jax.random.split(key, 3)
    everyone = jnp.ones(sgd.n, bool)
    rows, valid = sampling.poisson(k_sample, everyone, sgd.sampling_rate, sgd.capacity)
    examples = jax.tree.map(lambda x: jnp.asarray(x)[rows], data)
    # By row, not by slot: who else was drawn does not change what an example draws.
    return Batch(examples, valid, jax.vmap(jax.random.fold_in, (None, 0))(k_example, rows), k_noise)


def clipped_grad(
    loss: Callable, plan: Plan, clip_norm: float, microbatch: int | None = None
) -> Callable[[Any, Batch], ClippedSum]:
    """(params, batch) -> the sum over the batch of gradients clipped to `clip_norm`, for `add_noise`.

    Args:
      loss: (params, example, key) -> scalar, for ONE example, a row of the data without its leading
        axis. Any Flax model, any JAX: the batch is a vmap, in here. The key is that example's own.
      plan: the one that `sample` and `add_noise` are given.
      clip_norm: C > 0, the longest gradient an example may contribute. Finite, if the plan adds noise.
      microbatch: examples differentiated at once (memory). Changes f32 rounding only.

    Raises, when it is traced:
      TypeError: the batch is not from `sample`; params are not all floats.
      ValueError: the clip norm is impossible; the batch is another plan's; the loss is not one number.

    **Guarantees.** Those of fast.clipped_sum: one row more or less moves the sum by at most
    C (1 + 1e-5), whatever it holds; a gradient that is not finite contributes exactly 0. The loss
    is shown one example, and nothing but a number leaves it: losses that mix examples (a batch mean,
    BatchNorm over the batch, its running averages) cannot be written. Cannot be checked here: that the
    loss closes over no other private data, that params are not computed from any, and that nothing is
    decided by looking at the data between steps.
    """
    sgd = plan.sgd()
    noisy = sgd.noise_multiplier > 0
    if not 1e-6 <= clip_norm <= math.inf or (noisy and math.isinf(clip_norm)):
        raise ValueError(
            f"clip_norm = {clip_norm:g} must be finite and at least 1e-6, such as clip_norm=1.0"
        )

    def with_aux(params, example, key):
        return loss(params, example, key), ()

    def clipped(params, batch):
        if not isinstance(batch, Batch):
            raise TypeError("the batch must be what sample(plan, key, data) returned")
        if batch.valid.shape != (sgd.capacity,):
            raise ValueError(f"the batch has {batch.valid.shape} slots, the plan {sgd.capacity}")
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                name = jax.tree_util.keystr(path)
                raise TypeError(f"params{name} is not floating-point: leave it out of params")
        one = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (batch.examples, batch.keys)
        )
        result = jax.eval_shape(loss, params, *one)
        if getattr(result, "shape", None) != () or not jnp.issubdtype(result.dtype, jnp.floating):
            given = jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", result)
            raise ValueError(
                f"loss must return one float for ONE example and nothing else, not {given}"
            )
        total, _ = _bookkeeping.clipped_sum(
            with_aux, params, batch.examples, batch.valid, batch.keys, clip_norm, microbatch
        )
        std = sgd.noise_multiplier * clip_norm if noisy else 0.0
        return ClippedSum(total, std, batch.noise_key)

    return clipped
