"""Operations of a loss that may see other examples of the batch, though the loss is given one.

A loss is written for one example and mapped over a batch. An operation with a batching rule of its own, one over a
named axis, or one on the host may then look at the whole batch. Some leave an effect in the jaxpr that tells of it.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params

from fpu.dp.sampling import IMPLEMENTATION

_OF_A_BATCH = (
    "custom_vmap_call",
    "pure_callback",
    "buffer_callback",
    "ffi_call",
    "pallas_call",
    "rng_bit_generator",
)


def check(jaxpr: Jaxpr) -> None:
    """ValueError, which names it, for an operation in a loss, or in its gradient, that may see other examples.

    **Guarantees.** Refused are, at any depth of calls: what has an effect (most collectives over devices, Refs,
    printing); operations over a named axis that have none, as ppermute; custom_vmap, whose author says what is done
    with a batch; callbacks and kernels of one's own; keys other than Threefry's, whose draws under vmap depend on the
    keys beside them. Not seen: what the batching rule of a primitive of one's own does.
    """
    if jaxpr.effects:  # what a Ref is given has no gradient here, either
        raise ValueError(
            "loss must have no effect: no collective over an axis of devices (as of a BatchNorm with axis_name), no "
            f"Ref, no printing, but it has {', '.join(sorted(type(effect).__name__ for effect in jaxpr.effects))}"
        )
    for eqn in _all(jaxpr):
        if _names_an_axis(eqn) or eqn.primitive.name in _OF_A_BATCH or _other_keys(eqn):
            raise ValueError(f"loss is of ONE example: {eqn.primitive.name} in it may see others")


def _all(jaxpr) -> Iterator[JaxprEqn]:
    """The equations of a jaxpr and of all that they call."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from _all(inner)


def _names_an_axis(eqn):
    axes = eqn.params.get("axis_name", eqn.params.get("axes", ()))
    return any(isinstance(axis, str) for axis in (axes if isinstance(axes, tuple) else (axes,)))


@functools.cache
def _ours():
    return jax.eval_shape(lambda: jax.random.key(0, impl=IMPLEMENTATION)).dtype


def _other_keys(eqn):
    ours = _ours()
    types = (getattr(x.aval, "dtype", None) for x in (*eqn.invars, *eqn.outvars))
    return any(jnp.issubdtype(x, jax.dtypes.prng_key) and x != ours for x in types if x)
