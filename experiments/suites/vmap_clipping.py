"""The engine's rival and oracle: the clipped sum by per-example gradients under vmap, every one of them formed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fpu.dp import clipping


def clipped_sum(
    loss: Callable,
    params: Any,
    examples: Any,
    valid: jax.Array,
    keys: jax.Array,
    clip: Any,
    microbatch: int | None = None,
) -> tuple[Any, clipping.Diagnostics]:
    """clipping.clipped_sum: same arguments and results up to f32 rounding, in the few lines that define it.

    **Guarantees.** Those of clipping.clipped_sum, but for the rounding of the sum, for which plan.longest_move was not
    measured here; nor is the loss checked.
    """
    one = jax.value_and_grad(loss)

    def batch_sum(examples, valid, keys):
        losses, grads = jax.vmap(one, (None, 0, 0))(params, examples, keys)
        grads = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
        squares = [
            jnp.sum(jnp.square(g).reshape(len(valid), -1), axis=1) for g in jax.tree.leaves(grads)
        ]
        norms = jnp.sqrt(sum(squares))
        used = valid & jnp.isfinite(norms)
        scale = jnp.where(used, jnp.minimum(1.0, clip / norms), 0.0)

        def leaf_sum(g):
            def expand(x):
                return x.reshape((-1,) + (1,) * (g.ndim - 1))

            kept = jnp.where(expand(used), g, 0.0)  # before the product: 0 * NaN is NaN
            return jnp.sum(kept * expand(scale), axis=0)

        statistics = (
            jnp.sum(jnp.where(used, losses, 0.0)),
            jnp.sum(used & (norms > clip)),
            jnp.sum(used),
            jnp.sum(valid & ~used),
        )
        return jax.tree.map(leaf_sum, grads), statistics

    return clipping.over_microbatches(batch_sum, (examples, valid, keys), microbatch)
