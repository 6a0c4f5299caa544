"""One step of DP-SGD on one cell, as a pure function: Recipe, Pool, Cell, State, step.

A cell is everything that varies between trainings of one model on one pool.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fpu.dp import _bookkeeping, clipping, noise, sampling, sharding
from fpu.dp.plan import Plan
from fpu.models import Example, Model


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The learning side of a run, static. None of it looks at private losses."""

    learning_rate: float = 1e-3
    public_learning_rate: float = 1e-3  # of what trains without data (the GAN's generator)
    b1: float = 0.9
    b2: float = 0.999
    rate_warmup_steps: int = 0  # linear warm-up of both learning rates
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
        steps = recipe.rate_warmup_steps
        schedule = optax.linear_schedule(rate / (steps + 1), rate, steps)
        return optax.adam(schedule if steps else rate, b1=recipe.b1, b2=recipe.b2)

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
