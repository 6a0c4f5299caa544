"""The engine: the sum over a batch of per-example gradients, each clipped before it is added to anything.

`clipped_grad` is for a training loop and checks what it is given; `clipped_sum` is what it runs, by book-keeping
(_bookkeeping.py). experiments/suites/vmap_clipping.py does the same by per-example gradients, for comparison.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fpu.dp import _bookkeeping, sharding
from fpu.dp.noise import ClippedSum
from fpu.dp.plan import DPSGD, Plan
from fpu.dp.sampling import Batch

ROWS = 8  # slots of a batch are a multiple of this (_accumulated)


class Diagnostics(NamedTuple):
    """Un-noised statistics of one batch. They are private: never release or branch on them."""

    loss: jax.Array  # mean loss of the valid examples with a finite gradient, 0 for an empty batch
    clipped: jax.Array  # share of those whose gradient was longer than the clip norm
    dropped: jax.Array  # number of valid examples whose gradient was not finite


def clipped_grad(
    loss: Callable,
    plan: Plan,
    clip_norm: Any,
    *,
    noise_std: Any = None,
    microbatch: int | None = None,
) -> Callable[[Any, Batch], Any]:
    """(params, batch) -> ClippedSum: the batch's gradients, each clipped to `clip_norm`, added up, for `add_noise`.

    (The annotation says Any, because optax's types admit nothing but pytrees, and a ClippedSum is none.)

    Args:
      loss: (params, example, key) -> scalar, for ONE example, a row of the data without its leading
        axis. Any Flax model, any JAX: the batch is a vmap, in here. The key is that example's own.
      plan: the one that `sample` and `add_noise` are given.
      clip_norm: C > 0, the longest gradient an example may contribute. Finite, if the plan adds noise.
        It may be traced, and is then not checked.
      noise_std: standard deviation of the noise on the sum; None: the plan's noise multiplier times C. It
        may be more than that. Traced, it is not checked: training.check_cells does it before a training.
      microbatch: examples differentiated at once (memory), rounded up to a multiple of ROWS. Changes f32 rounding only.

    Raises, when it is traced:
      TypeError: the batch is not from `sample`; params are not all floats.
      ValueError: the clip norm is impossible; the noise is less than the plan's; the batch is another
        plan's; the loss is not one number, or has an effect, as a collective over devices.

    **Guarantees.** Those of `clipped_sum`. The loss is shown one example, and nothing but a number leaves it:
    losses that mix examples (a batch mean, BatchNorm over the batch, its running averages) cannot be written, or,
    as with a collective over devices or a batching rule of their own, are refused (_mixing.check). Cannot be checked
    here: the rules of a primitive of one's own, that the loss closes over no other private data, that params are not
    computed from any, and that nothing is decided by looking at the data between steps.
    """
    std = _noise_std(plan.sgd(), clip_norm, noise_std)

    def clipped(params: Any, batch: Batch) -> ClippedSum:
        if not isinstance(batch, Batch):
            raise TypeError("the batch must be what sample(plan, key, data) returned")
        if batch.plan != plan:
            raise ValueError(
                "the batch was drawn by another plan than clipped_grad's: make both from one plan"
            )
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                name = jax.tree_util.keystr(path)
                raise TypeError(f"params{name} is not floating-point: leave it out of params")
        total, diagnostics = clipped_sum(
            loss, params, batch.examples, batch.valid, batch.keys, clip_norm, microbatch
        )
        if batch.axis is not None:
            total, diagnostics = sharding.add_up(total, diagnostics, batch.valid, batch.axis)
        return ClippedSum(total, std, batch.noise_key, plan, diagnostics)

    return clipped


def _noise_std(sgd: DPSGD, clip_norm: Any, noise_std: Any) -> Any:
    """The noise on the sum; ValueError where what is known of it, or of the clip norm, breaks the plan."""
    noisy, known = sgd.noise_multiplier > 0, not isinstance(clip_norm, Tracer)
    if known and (not 1e-6 <= clip_norm <= math.inf or (noisy and math.isinf(clip_norm))):
        raise ValueError(
            f"clip_norm = {clip_norm:g} must be finite and at least 1e-6, such as clip_norm=1.0"
        )
    planned = sgd.noise_multiplier * clip_norm if noisy else 0.0
    if noise_std is None:
        return planned
    known = known and not isinstance(noise_std, Tracer)
    if known and not planned * (1 - 1e-6) <= noise_std:  # float32 may round it down
        raise ValueError(
            f"noise_std = {noise_std:g} is less than the plan's noise on the sum, {planned:g}"
        )
    return noise_std


def clipped_sum(
    loss: Callable,
    params: Any,
    examples: Any,
    valid: jax.Array,
    keys: jax.Array,
    clip: Any,
    microbatch: int | None = None,
) -> tuple[Any, Diagnostics]:
    """Sum over examples of grad(loss) scaled down to an l2 norm of at most `clip`.

    Args:
      loss: (params, example, key) -> scalar, for ONE example. The batch is a vmap, here.
      params: pytree of the private parameters. The norm is the joint one over all leaves.
      examples: pytree of arrays with a leading axis [B].
      valid: bool [B]. The content of slots that are not valid never matters.
      keys: typed keys [B].
      clip: scalar > 0, may be traced; inf switches clipping off.
      microbatch: as in clipped_grad; None: all at once.

    Returns:
      (sum with the structure of params in float32, Diagnostics).

    Raises: ValueError, when it is traced: the loss is not one floating-point number, or is refused by _mixing.check;
    a microbatch below 1.

    **Guarantees.** For any inputs, adding, removing or zeroing out one example moves the exact sum by at most
    clip * (1 + 1e-5) in l2 norm. How far it moves the float32 sum is said by plan.longest_move, and accounted for.
    Each example is clipped before any reduction. A gradient whose f32 norm is not finite (NaN, inf, or squares that
    overflow) contributes exactly 0, through `where`.
    Provided that `loss` sees one example only: nothing here can check that parameters were not
    computed from private data, or that the loss closes over none.
    """
    example, key = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (examples, keys)
    )
    batch_sum = _bookkeeping.batch_sum(loss, params, example, key, clip)
    return over_microbatches(batch_sum, (examples, valid, keys), microbatch)


def over_microbatches(
    batch_sum: Callable, inputs: tuple[Any, jax.Array, jax.Array], microbatch: int | None
) -> tuple[Any, Diagnostics]:
    """`batch_sum` of (examples, valid, keys) in parts of `microbatch`, added up; statistics become Diagnostics.

    batch_sum returns (sum, (sum of losses, how many clipped, used, dropped)).
    """
    total, (losses, clipped, used, dropped) = _accumulated(batch_sum, inputs, microbatch)
    count = jnp.maximum(used, 1)
    return total, Diagnostics(losses / count, clipped / count, dropped)


def _accumulated(function: Callable, inputs: Any, microbatch: int | None):
    """Sum of function(chunk) over chunks of `microbatch`, rounded up to multiples of ROWS; the last one is padded with
    slots not valid.

    A CPU multiplies the rows beyond the last multiple of 8 by other code, which may round otherwise. Behind a kink of
    the loss an example would have one gradient in these slots and another in the rest.
    """
    examples, valid, keys = inputs
    size = len(valid)
    if microbatch is not None and microbatch < 1:
        raise ValueError(f"microbatch = {microbatch} must be at least 1, or None")
    chunk = -(-max(min(microbatch or size, size), 1) // ROWS) * ROWS
    chunks = -(-size // chunk)
    # Padding repeats slot 0 (any content will do) and marks it not valid.
    rows = jnp.arange(chunks * chunk)
    inside, rows = rows < size, jnp.where(rows < size, rows, 0)
    # Keys cross the scan as words: jax's check for reused keys takes its slices for a reuse.
    given = examples, valid, jax.random.key_data(keys)
    parts = jax.tree.map(lambda x: jnp.asarray(x)[rows], given)

    def part(examples, valid, words):
        return function(
            examples, valid, jax.random.wrap_key_data(words, impl=jax.random.key_impl(keys))
        )

    parts = parts[0], parts[1] & inside, parts[2]
    if chunks == 1:
        return part(*parts)

    def body(total, chunk):
        return jax.tree.map(jnp.add, total, part(*chunk)), None

    parts = jax.tree.map(lambda x: x.reshape(chunks, chunk, *x.shape[1:]), parts)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), parts)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(part, *one))
    return jax.lax.scan(body, zero, parts)[0]
