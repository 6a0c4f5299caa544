"""One batch over several devices: each takes a share of the slots, and the clipped sums are added.

For use inside `jax.shard_map`, between sampling and noise: every device samples the whole batch with
the same key, keeps its share, clips, adds up with the others, and then draws the same noise.

Switch varying-type checks off (check_vma=False): gradients are then those of one device's examples.
With the checks on, JAX casts replicated parameters to varying where they meet an example, and the
transpose of that cast sums an example's gradient over all devices, BEFORE it is clipped.
"""

from typing import Any

import jax
import jax.numpy as jnp


def share(units: jax.Array, valid: jax.Array, axis: str) -> tuple[jax.Array, jax.Array]:
    """This device's slots of a batch: [B] to [ceil(B / devices)], in order.

    Args:
      units: int32 [B], as `sampling.poisson` returns them, the same on all devices.
      valid: bool [B].
      axis: the mesh axis over which the batch is split.

    **Guarantees.** Every slot is in exactly one share; what fills up the last ones is not valid. The
    capacity that the accountant knows does not change: filled-up slots hold nobody.
    """
    size = -(-len(units) // jax.lax.axis_size(axis))
    slots = jax.lax.axis_index(axis) * size + jnp.arange(size)
    inside = slots < len(units)
    slots = jnp.where(inside, slots, 0)
    return units[slots], valid[slots] & inside


def add_up(summed: Any, diagnostics: Any, valid: jax.Array, axis: str) -> tuple[Any, Any]:
    """What `clipping.clipped_sum` returned for each share, as for the whole batch: the same on all devices.

    **Guarantees.** Nothing is scaled and nothing is noised: the sum over devices of clipped sums
    moves by at most the clip norm with one example, as each share's does, and an example is in one.
    Noise comes after this, once, from a key that all devices hold.
    """
    used = jnp.sum(valid) - diagnostics.dropped
    summed, losses, clipped, count, dropped = jax.lax.psum(
        (summed, used * diagnostics.loss, used * diagnostics.clipped, used, diagnostics.dropped),
        axis,
    )
    count = jnp.maximum(count, 1)
    return summed, diagnostics._replace(
        loss=losses / count, clipped=clipped / count, dropped=dropped
    )
