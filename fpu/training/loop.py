"""Training as a pure function of cells: State, the step, fit.

A cell is everything that varies between trainings of one model on one pool. Cells that share a plan
share one compiled program; on an accelerator many run side by side under one vmap.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from fpu import distributed
from fpu.dp import _bookkeeping, clipping, noise, sampling, sharding
from fpu.dp.plan import Plan
from fpu.models import Example, Model
from fpu.training import programs

STEPS_PER_CALL = 50


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The learning side of a run, static. None of it looks at private losses."""

    learning_rate: float = 1e-3
    public_learning_rate: float = 1e-3  # of what trains without data (the GAN's generator)
    b1: float = 0.9
    b2: float = 0.999
    warmup_steps: int = 0  # linear warm-up of both learning rates
    ema: float = 0.999  # decay; the average follows faster while few steps have been made
    critic_steps: int = 1  # private steps for each public one
    microbatch: int = 0  # examples differentiated at once; 0 = the whole batch


class Pool(NamedTuple):
    """The data of all cells, on the device; or, with one more leading axis, a pool of its own for each cell."""

    images: jax.Array  # uint8 [M, H, W, C]
    labels: jax.Array  # int32 [M]
    units: jax.Array  # int32 [U, m], rows of the pool that belong to each privacy unit, padded
    sizes: jax.Array  # int32 [U]


class Cell(NamedTuple):
    """What varies between trainings. All arrays; a group of cells has one more leading axis."""

    mask: jax.Array  # bool [U], which units are members
    clip: jax.Array  # clip norm C; inf = none
    noise_std: jax.Array  # noise multiplier times C; 0 = none
    secret: (
        jax.Array
    )  # typed key: Poisson sampling, noise and per-example draws. As secret as the data
    public: jax.Array  # typed key: initialisation, and the draws of public losses


class State(NamedTuple):
    """Everything a training carries from step to step. Holds no key."""

    step: jax.Array
    params: dict[str, Any]  # {'private': ..., 'public': ...}
    ema: dict[str, Any]  # running mean of params: what is sampled
    private_opt: Any
    public_opt: Any
    diagnostics: clipping.Diagnostics  # of the last step; private


def optimizers(plan: Plan, recipe: Recipe):
    """(private, public) optax transformations. The private one starts by adding noise."""

    def adam(rate):
        schedule = optax.linear_schedule(
            rate / (recipe.warmup_steps + 1), rate, recipe.warmup_steps
        )
        return optax.adam(schedule if recipe.warmup_steps else rate, b1=recipe.b1, b2=recipe.b2)

    return (
        optax.chain(noise.add_noise(plan), adam(recipe.learning_rate)),
        adam(recipe.public_learning_rate),
    )


def initial(model: Model, plan: Plan, recipe: Recipe, cell: Cell, start: Any = None) -> State:
    """The state of one cell before its first step, from the parameters `start` or those of model.init."""
    params = model.init(jax.random.fold_in(cell.public, 0)) if start is None else start
    private, public = optimizers(plan, recipe)
    return State(
        step=jnp.int32(0),
        params=params,
        ema=params,
        private_opt=private.init(params["private"]),
        public_opt=public.init(params["public"]),
        diagnostics=clipping.Diagnostics(jnp.float32(0), jnp.float32(0), jnp.int32(0)),
    )


def step(
    model: Model,
    plan: Plan,
    recipe: Recipe,
    pool: Pool,
    cell: Cell,
    state: State,
    now: jax.Array,
    axis: str | None = None,
) -> State:
    """Step number `now` of DP-SGD on one cell, then a public step where one is due.

    `now` equals state.step, but has no cell axis under vmap: all cells then branch as one.

    Keys are counter-based: fold_in(root, step), then one split by purpose. Repeating a step after a
    restart repeats the same query with the same noise, so it costs no privacy.

    With `axis`, a mesh axis, inside shard_map: the examples are split over its devices, and all else
    is done by each of them alike.
    """
    sgd = plan.sgd()
    k_sample, k_unit, k_example, k_noise = jax.random.split(jax.random.fold_in(cell.secret, now), 4)
    units, valid = sampling.poisson(k_sample, cell.mask, sgd.sampling_rate, sgd.capacity)
    if axis is not None:
        units, valid = sharding.share(units, valid, axis)
    rows = sampling.one_of(k_unit, units, pool.units, pool.sizes)
    examples = Example(pool.images[rows].astype(jnp.float32) / 255.0, pool.labels[rows])

    public = state.params["public"]

    def loss(private, example, key):
        return model.loss(private, public, example, now, key)

    summed, diagnostics = _bookkeeping.clipped_sum(
        loss,
        state.params["private"],
        examples,
        valid,
        # By unit, not by slot: who else was drawn does not change what an example draws.
        jax.vmap(jax.random.fold_in, (None, 0))(k_example, units),
        cell.clip,
        recipe.microbatch or None,
    )
    if axis is not None:
        summed, diagnostics = sharding.add_up(summed, diagnostics, valid, axis)
    private_tx, public_tx = optimizers(plan, recipe)
    updates, private_opt = private_tx.update(
        noise.ClippedSum(summed, cell.noise_std, k_noise),
        state.private_opt,
        state.params["private"],
    )
    private = optax.apply_updates(state.params["private"], updates)

    public_opt = state.public_opt
    if model.public_loss is not None:
        due = (now + 1) % recipe.critic_steps == 0
        key = jax.random.fold_in(jax.random.fold_in(cell.public, 1), now)

        def public_step(public, opt):
            grads = jax.grad(model.public_loss)(public, private, key)
            updates, opt = public_tx.update(grads, opt, public)
            return optax.apply_updates(public, updates), opt

        if (
            recipe.critic_steps == 1
        ):  # without a branch, inside which convolutions are slow on a CPU
            public, public_opt = public_step(public, public_opt)
        else:
            public, public_opt = jax.lax.cond(
                due, public_step, lambda *same: same, public, public_opt
            )

    params = {"private": private, "public": public}
    count = now.astype(jnp.float32)
    decay = jnp.minimum(recipe.ema, (1.0 + count) / (10.0 + count))
    ema = jax.tree.map(lambda mean, new: decay * mean + (1.0 - decay) * new, state.ema, params)
    return State(state.step + 1, params, ema, private_opt, public_opt, diagnostics)


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
