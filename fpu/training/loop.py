"""Training every cell of a group: `fit`, one compiled program for all cells that share a plan.

On an accelerator many cells run side by side under one vmap.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from fpu import distributed
from fpu.dp.plan import Plan
from fpu.models import Model
from fpu.training import programs
from fpu.training.dpsgd import Cell, Pool, Recipe, State, initial, step

STEPS_PER_CALL = 50


@functools.lru_cache(maxsize=8)
def compiled(
    model: Model,
    plan: Plan,
    recipe: Recipe,
    vmapped: bool,
    mesh: Mesh | None = None,
    own_pools: bool = False,
):
    """The programs that train one cell, or a group of them side by side, on one pool or each on its own."""
    first = functools.partial(initial, model, plan, recipe)
    one_step = functools.partial(
        step, model, plan, recipe, axis=None if mesh is None else "examples"
    )
    if vmapped:
        first = jax.vmap(first)
        one_step = jax.vmap(one_step, (0 if own_pools else None, 0, 0, None))
    return programs.compiled(first, one_step, vmapped, mesh, own_pools)


def fit(
    model: Model,
    plan: Plan,
    recipe: Recipe,
    pool: Pool,
    cells: Cell,
    *,
    slice_size: int = 1,
    mesh: Mesh | None = None,
    start: Any = None,
    observe: Callable[[int, int, State], None] | None = None,
    restore: Callable[[int, State], State | None] | None = None,
) -> State:
    """Train every cell of a group: cells and the result have a leading axis.

    Args:
      plan: all cells keep to its steps, sampling rate and capacity. The noise is each cell's own.
      pool: of all cells; or, with a leading axis on every leaf, one for each cell.
      slice_size: cells side by side under one vmap. Changes f32 rounding only, never members, keys or
        mechanism. 1 (best on a CPU, where vmapped cells turn convolutions into grouped ones) is not
        vmapped at all.
      mesh: as distributed.mesh makes it: slices of cells run beside each other over 'cells' (one slice
        a device), the examples of each batch are split over 'examples' (the microbatch is a device's).
        Changes f32 rounding only. Where it spans several processes, each calls fit with the same
        arguments, and the State is spread over them as its sharding says. None: one device.
      start: parameters to begin from, with the cells' leading axis, such as the `ema` of another
        training; None: model.init's.
      observe: called with (slice number, step, the slice's State) after every STEPS_PER_CALL steps and
        at the end: logs and checkpoints. The State is donated to the next call: copy what is kept.
        On a mesh, all slices that run beside each other are one; the last repeats its last cell to fill up.
      restore: called with (slice number, a State like the one to restore); returns the State to
        continue from, or None to start afresh.

    Raises:
      ValueError: a cell has more members than the plan accounts for, its mask is not the pool's, or
        processes disagree on an argument (two secret keys would be two samples and two noises).
    """
    total = plan.sgd().steps
    count, own_pools = len(cells.clip), pool.sizes.ndim == 2
    shape = (count, pool.sizes.shape[-1])
    if cells.mask.shape != shape or (own_pools and pool.sizes.shape != shape):
        raise ValueError(
            f"masks {cells.mask.shape} and pools {pool.sizes.shape} are not of {count} cells"
        )
    if int(jnp.sum(cells.mask, axis=1).max()) > plan.sgd().n:
        raise ValueError(f"a cell has more members than the n = {plan.sgd().n} of the plan")
    width = slice_size
    if mesh is not None:
        width = slice_size * mesh.shape["cells"]
        same = {"pool": pool, "cells": cells, "plan": plan, "recipe": recipe, "start": start}
        distributed.agree(**same, slice_size=slice_size)
        if not own_pools:
            pool = distributed.place(pool, mesh, PartitionSpec())
    shared = None if own_pools else pool
    finished = []
    for number, first in enumerate(range(0, count, width)):
        group, begin = (_group(tree, first, width, mesh) for tree in (cells, start))
        data = shared or _group(pool, first, width, mesh)
        program = compiled(model, plan, recipe, slice_size > 1, mesh, own_pools)
        state = program.first(group, begin)
        if restore is not None:
            state = _like(state, restore(number, state), mesh)
        done = int(state.step.max())
        while done < total:
            done = min(total, done - done % STEPS_PER_CALL + STEPS_PER_CALL)
            state = program.run(data, group, state, jnp.int32(done))
            if mesh is not None:  # collectives of two calls at once may starve each other on a CPU
                jax.block_until_ready(state)
            if observe is not None:
                observe(number, done, state)
        finished.append(state if width > 1 else jax.tree.map(lambda x: x[None], state))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *finished)


def _group(tree: Any, first: int, width: int, mesh: Mesh | None):
    """Rows first, first + 1, ...: without an axis where it is one; on a mesh exactly `width` of them."""
    group = jax.tree.map(lambda x: x[first : first + width], tree)
    if mesh is not None:
        group = jax.tree.map(lambda x: x[np.minimum(np.arange(width), len(x) - 1)], group)
    if width == 1:
        group = jax.tree.map(lambda x: x[0], group)
    return group if mesh is None else distributed.place(group, mesh, programs.cells_spec(width > 1))


def _like(state: State, restored: State | None, mesh: Mesh | None) -> State:
    """The restored state where `state` lies, or `state` where there is none."""
    if mesh is not None:
        distributed.agree(restored_step=-1 if restored is None else int(restored.step.max()))
    if restored is None or mesh is None:
        return restored or state
    return jax.device_put(restored, jax.tree.map(lambda x: x.sharding, state))
