"""A convolution and a table look-up as matrix products: what `_products` needs of them.

y = conv(x, K) with K [k, k, I, O] is y = A W, where W [k k I, O] is K and row t of A [T, k k I] is the
patch of x that output position t sees. y = table[indices] is y = A table with A one-hot.
"""

import itertools
import math

import jax
import jax.numpy as jnp


def is_matrix(eqn, kernel_shape) -> bool:
    """Whether this conv_general_dilated is a product with its kernel seen as [spatial * in, out].

    Any stride, padding and dilation is. Grouped convolutions and kernels stored otherwise are not.
    """
    params = eqn.params
    out_axis, in_axis, *spatial = params["dimension_numbers"].rhs_spec
    in_order = (*spatial, in_axis, out_axis) == tuple(range(len(kernel_shape)))
    return in_order and params["feature_group_count"] == params["batch_group_count"] == 1


def patches(eqn, x):
    """A [T, k k I] of a convolution of x (any number of spatial axes, T over batch and positions)."""
    params, dimensions = eqn.params, eqn.params["dimension_numbers"]
    x = x.transpose((dimensions.lhs_spec[0], *dimensions.lhs_spec[2:], dimensions.lhs_spec[1]))
    sides = zip(params["padding"], params["lhs_dilation"], strict=True)
    padding = [(0, 0, 0), *((low, high, gap - 1) for (low, high), gap in sides), (0, 0, 0)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), padding)
    kernel, out = eqn.invars[1].aval.shape, eqn.outvars[0].aval.shape
    spans = [
        (out[axis] - 1) * stride + 1
        for axis, stride in zip(dimensions.out_spec[2:], params["window_strides"], strict=True)
    ]
    strides = (1, *params["window_strides"], 1)

    def shifted(offset):
        starts = [i * gap for i, gap in zip(offset, params["rhs_dilation"], strict=True)]
        limits = [start + span for start, span in zip(starts, spans, strict=True)]
        return jax.lax.slice(x, (0, *starts, 0), (len(x), *limits, x.shape[-1]), strides)

    offsets = itertools.product(*map(range, kernel[: len(spans)]))
    columns = jnp.concatenate([shifted(offset) for offset in offsets], axis=-1)
    return columns.reshape(-1, math.prod(kernel[:-1]))


def outputs(eqn, dy):
    """dL/dy of a convolution as D [T, O], in the order of `patches`."""
    spec = eqn.params["dimension_numbers"].out_spec
    return dy.transpose((spec[0], *spec[2:], spec[1])).reshape(-1, dy.shape[spec[1]])


def is_lookup(eqn) -> bool:
    """Whether this gather takes whole rows table[i], i along the first axis, and nothing else."""
    table, indices = (v.aval for v in eqn.invars)
    out, numbers = eqn.outvars[0].aval, eqn.params["dimension_numbers"]
    row = table.shape[1:]
    return (
        numbers.collapsed_slice_dims == numbers.start_index_map == (0,)
        and numbers.operand_batching_dims == ()
        and indices.shape[-1:] == (1,)
        and numbers.offset_dims == tuple(range(out.ndim - len(row), out.ndim))
        and eqn.params["slice_sizes"] == (1, *row)
    )


def one_hot(eqn, indices):
    """A [T, rows] of a look-up. Rows that the gather's mode drops are zero."""
    rows = eqn.invars[0].aval.shape[0]
    indices = indices.reshape(-1).astype(jnp.int32)  # 8 bits may not hold rows - 1
    if eqn.params["mode"] == jax.lax.GatherScatterMode.CLIP:
        indices = jnp.clip(indices, 0, rows - 1)
    return (indices[:, None] == jnp.arange(rows)[None]).astype(jnp.float32)
