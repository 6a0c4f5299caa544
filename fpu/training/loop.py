"""Training: `fit` trains a group of cells side by side as one compiled program.

Cells that share a model, a plan and a recipe share one program. A single cell is not vmapped.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from fpu import distributed
from fpu.dp.plan import Plan
from fpu.models import Model
from fpu.training.dpsgd import Cell, Pool, Recipe, State, check_cells, step
from fpu.training.programs import cells_spec, compiled

STEPS_PER_CALL = 50


def fit(
    model: Model,
    plan: Plan,
    recipe: Recipe,
    pool: Pool,
    cells: Cell,
    *,
    mesh: Mesh | None = None,
    start: Any = None,
    restore: Callable[[State], State | None] | None = None,
    step: Callable[..., State] = step,
) -> Iterator[tuple[int, State]]:
    """Train a group of cells side by side; yield (step, State) every STEPS_PER_CALL steps and at the end.

    Logging, saving and stopping are the caller's: `for step, state in fit(...): ...`. At least one pair
    is yielded, also where `restore` returns a training that has ended.

    Args:
      plan: all cells keep to its steps, sampling rate and capacity. The noise is each cell's own.
      pool: of all cells; or, with a leading axis on every leaf, one for each cell.
      cells: with a leading axis [n].
      mesh: as distributed.mesh makes it: cells are split over 'cells', the examples of each batch over
        'examples' (the microbatch is a device's). Changes f32 rounding only. Where it spans several
        processes, each calls `fit` with the same arguments, and the State is spread over them as its
        sharding says. None: one device.
      start: parameters to begin from, with the cells' leading axis, such as the `ema` of another
        training; None: model.init's.
      restore: called with a State like the one to restore; returns the State to continue from, or None.
      step: of DP-SGD; that of warmup where the images are draws.

    Yields: the State has a leading axis [n], but none where n is 1. On a mesh it may be longer: the last
      cell is repeated to fill up. It is donated to the next call: copy what is kept.

    Raises:
      ValueError: a cell has more members or less noise than the plan accounts for, its mask is not the
        pool's, or processes disagree on an argument (two secret keys would be two samples and two noises).
    """
    total, count = plan.sgd().steps, len(cells.clip)
    own_pools = pool.sizes.ndim == 2
    _check(plan, pool, cells, own_pools)
    width, vmapped = count, count > 1
    if mesh is not None:
        each = -(-count // mesh.shape["cells"])
        width, vmapped = each * mesh.shape["cells"], each > 1
        same = {"pool": pool, "cells": cells, "plan": plan, "recipe": recipe, "start": start}
        distributed.check_same(**same, slice_size=each)
    cells, start = (_placed(tree, width, mesh) for tree in (cells, start))
    if own_pools:
        pool = _placed(pool, width, mesh)
    elif mesh is not None:
        pool = distributed.place(pool, mesh, PartitionSpec())
    program = compiled(model, plan, recipe, vmapped, mesh, own_pools, step)
    state = program.first(cells, start)
    if restore is not None:
        state = _continued(state, restore(state), mesh)
    done = int(state.step.max())
    if done >= total:
        yield done, state
    while done < total:
        done = min(total, done - done % STEPS_PER_CALL + STEPS_PER_CALL)
        state = program.run(pool, cells, state, jnp.int32(done))
        if mesh is not None:  # collectives of two calls at once may starve each other on a CPU
            jax.block_until_ready(state)
        yield done, state


def _check(plan: Plan, pool: Pool, cells: Cell, own_pools: bool) -> None:
    shape = (len(cells.clip), pool.sizes.shape[-1])
    if cells.mask.shape != shape or (own_pools and pool.sizes.shape != shape):
        raise ValueError(
            f"masks {cells.mask.shape} and pools {pool.sizes.shape} are not of {shape[0]} cells"
        )
    if int(jnp.sum(cells.mask, axis=1).max()) > plan.sgd().n:
        raise ValueError(f"a cell has more members than the n = {plan.sgd().n} of the plan")
    check_cells(plan, cells)


def _placed(tree: Any, width: int, mesh: Mesh | None):
    """`width` rows of a group, the last repeated to fill up, over the mesh; without an axis where it is one."""
    if mesh is not None:
        tree = jax.tree.map(lambda x: x[np.arange(width).clip(max=len(x) - 1)], tree)
    if width == 1:
        tree = jax.tree.map(lambda x: x[0], tree)
    return tree if mesh is None else distributed.place(tree, mesh, cells_spec(width > 1))


def _continued(state: State, restored: State | None, mesh: Mesh | None) -> State:
    """The restored state where `state` lies, or `state` where there is none."""
    if mesh is not None:
        distributed.check_same(restored_step=-1 if restored is None else int(restored.step.max()))
    if restored is None or mesh is None:
        return restored or state
    return jax.device_put(restored, jax.tree.map(lambda x: x.sharding, state))
