"""Trainings as compiled programs: steps looped on the device, made by the host, or split over a mesh."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from fpu.dp.plan import Plan
from fpu.models import Model
from fpu.training.dpsgd import Recipe, State, initial, step


class Programs(NamedTuple):
    """What `training.fit` calls."""

    first: Callable  # (cells, start) -> state before the first step
    run: Callable  # (pool, cells, state, stop) -> state at step `stop`; the state given is donated
    jitted: Any  # the compiled function behind `run`


@functools.lru_cache(maxsize=8)
def compiled(
    model: Model,
    plan: Plan,
    recipe: Recipe,
    vmapped: bool,
    mesh: Mesh | None = None,
    own_pools: bool = False,
    step: Callable[..., State] = step,
) -> Programs:
    """The programs that train one cell, or a group of them side by side, on one pool or each on its own.

    vmapped: for a group of cells (on a mesh: for a group on each device).
    own_pools: each cell has a pool of its own (on a mesh they are split as the cells are).

    On a CPU the host calls one step after the other: inside a loop XLA's CPU backend makes the gradient of
    a convolution many times slower (jax 0.10.2). Elsewhere the loop is part of the program.
    """
    first = functools.partial(initial, model, plan, recipe)
    axis = None if mesh is None else "examples"
    one_step = functools.partial(step, model, plan, recipe, axis=axis)
    if vmapped:
        first = jax.vmap(first)
        one_step = jax.vmap(one_step, (0 if own_pools else None, 0, 0, None))
    stepped = jax.default_backend() == "cpu"
    if mesh is not None:
        return _on_mesh(first, one_step, vmapped, mesh, own_pools, stepped)
    if stepped:
        return _stepped(first, one_step)
    return _looped(first, _loop(one_step), vmapped)


def cells_spec(grouped: bool) -> PartitionSpec:
    """How what belongs to cells is split over a mesh."""
    return PartitionSpec("cells") if grouped else PartitionSpec()


def _stepped(first, step, one_at_a_time: bool = False) -> Programs:
    jitted = jax.jit(step, donate_argnums=2)

    def run(pool, cells, state, stop):
        for now in range(int(state.step.max()), int(stop)):
            state = jitted(pool, cells, state, jnp.int32(now))
            if one_at_a_time:  # collectives of two steps at once may starve each other
                jax.block_until_ready(state)
        return state

    return Programs(jax.jit(first), run, jitted)


def _loop(step):
    def loop(pool, cells, state, start, stop):
        return jax.lax.fori_loop(start, stop, lambda i, s: step(pool, cells, s, i), state)

    return loop


def _looped(first, loop, grouped: bool) -> Programs:
    def run(pool, cells, state, stop):
        # All cells are at the same step; the loop bound is traced, so every call shares one compilation.
        return loop(pool, cells, state, state.step[0] if grouped else state.step, stop)

    jitted = jax.jit(run, donate_argnums=2)
    return Programs(jax.jit(first), jitted, jitted)


def _on_mesh(first, step, vmapped: bool, mesh: Mesh, own_pools: bool, stepped: bool) -> Programs:
    """Both for a device's block of the cells; a block of one is run without the cells' axis."""
    grouped = vmapped or mesh.shape["cells"] > 1
    alone = grouped and not vmapped

    def inner(tree):
        return jax.tree.map(lambda x: x[0], tree) if alone else tree

    def outer(tree):
        return jax.tree.map(lambda x: x[None], tree) if alone else tree

    def block_first(cells, start):
        return outer(first(inner(cells), inner(start)))

    def block(run):
        def of_a_device(pool, cells, state, *numbers):
            pool = inner(pool) if own_pools else pool
            return outer(run(pool, inner(cells), inner(state), *numbers))

        return of_a_device

    everywhere, spec = PartitionSpec(), cells_spec(grouped)
    # Why without varying-type checks: fpu/dp/sharding.py.
    on_mesh = functools.partial(jax.shard_map, mesh=mesh, out_specs=spec, check_vma=False)
    begin, data = on_mesh(block_first, in_specs=(spec, spec)), spec if own_pools else everywhere
    if stepped:
        one = on_mesh(block(step), in_specs=(data, spec, spec, everywhere))
        return _stepped(begin, one, one_at_a_time=True)
    many = on_mesh(block(_loop(step)), in_specs=(data, spec, spec, everywhere, everywhere))
    return _looped(begin, many, grouped)
