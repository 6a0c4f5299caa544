"""The clipped sum of per-example gradients: the only place where data become a gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Diagnostics(NamedTuple):
    """Un-noised statistics of one batch. They are private: never release or branch on them."""

    loss: jax.Array  # mean loss of the valid examples with a finite gradient, 0 for an empty batch
    clipped: jax.Array  # share of those whose gradient was longer than the clip norm
    dropped: jax.Array  # number of valid examples whose gradient was not finite


def clipped_sum(loss, params, examples, valid, keys, clip, microbatch: int | None = None):
    """Sum over examples of grad(loss) scaled down to l2 norm `clip`.

    Args:
      loss: (params, example, key) -> (scalar, aux), for ONE example. The batch is a vmap, here.
      params: pytree of the private parameters. The norm is the joint one over all leaves.
      examples: pytree of arrays with a leading axis [B].
      valid: bool [B]. The content of slots that are not valid never matters.
      keys: typed keys [B].
      clip: scalar > 0, may be traced; inf switches clipping off.
      microbatch: examples differentiated at once (memory), or None for all. Changes f32 rounding only.

    Returns:
      (sum with the structure of params in float32, Diagnostics).

    **Guarantees.** For any inputs, adding, removing or zeroing out one example moves the sum by at
    most clip * (1 + 1e-5) in l2 norm. Each example is clipped before any reduction. A gradient whose f32
    norm is not finite (NaN, inf, or squares that overflow) contributes exactly 0, through `where`.
    Provided that `loss` sees one example only: nothing here can check that parameters were not
    computed from private data, or that the loss closes over none.
    """
    one = jax.value_and_grad(loss, has_aux=True)

    def batch_sum(examples, valid, keys):
        (losses, _), grads = jax.vmap(one, (None, 0, 0))(params, examples, keys)
        grads = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
        squares = [
            jnp.sum(jnp.square(g).reshape(len(valid), -1), axis=1) for g in jax.tree.leaves(grads)
        ]
        norms = jnp.sqrt(sum(squares))
        used = valid & jnp.isfinite(norms)
        scale = jnp.where(used, jnp.minimum(1.0, clip / norms), 0.0)

        def leaf_sum(g):
            kept = jnp.where(expand(used, g), g, 0.0)  # before the product: 0 * NaN is NaN
            return jnp.sum(kept * expand(scale, g), axis=0)

        statistics = (
            jnp.sum(jnp.where(used, losses, 0.0)),
            jnp.sum(used & (norms > clip)),
            jnp.sum(used),
            jnp.sum(valid & ~used),
        )
        return jax.tree.map(leaf_sum, grads), statistics

    total, (losses, clipped, used, dropped) = accumulate(
        batch_sum, (examples, valid, keys), len(valid), microbatch
    )
    count = jnp.maximum(used, 1)
    return total, Diagnostics(losses / count, clipped / count, dropped)


def expand(per_example, leaf):
    """[B] to [B, 1, ...] with the rank of leaf."""
    return per_example.reshape((-1,) + (1,) * (leaf.ndim - 1))


def accumulate(function, inputs: Any, size: int, microbatch: int | None):
    """Sum of function(chunk) over chunks of `microbatch`, the last one padded with slots not valid."""
    if microbatch is None or microbatch >= size:
        return function(*inputs)
    chunks = -(-size // microbatch)
    # Padding repeats slot 0 (any content will do) and marks it not valid below.
    rows = jnp.arange(chunks * microbatch)
    inside = (rows < size).reshape(chunks, microbatch)
    rows = jnp.where(rows < size, rows, 0).reshape(chunks, microbatch)
    examples, valid, keys = inputs
    # Keys cross the scan as words: jax's check for reused keys takes its slices for a reuse.
    parts = jax.tree.map(lambda x: x[rows], (examples, valid, jax.random.key_data(keys)))

    def part(chunk, inside):
        examples, valid, words = chunk
        typed = jax.random.wrap_key_data(words, impl=jax.random.key_impl(keys))
        return function(examples, valid & inside, typed)

    def body(total, chunk):
        return jax.tree.map(jnp.add, total, part(*chunk)), None

    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (parts, inside))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(part, *one))
    return jax.lax.scan(body, zero, (parts, inside))[0]
