"""One step of DP-SGD on one cell, as a pure function: Recipe, Pool, Cell, State, step.

A cell is everything that varies between trainings of one model on one pool.
"""

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu import dp
from fpu.dp.clipping import Diagnostics
from fpu.dp.plan import Plan
from fpu.models import Example, Model


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The learning side of a run, static. None of it looks at private losses."""

    learning_rate: Annotated[float, (1e-8, 10.0)] = 1e-3
    # Of what trains without data (the GAN's generator).
    public_learning_rate: Annotated[float, (1e-8, 10.0)] = 1e-3
    b1: Annotated[float, (0.0, 0.9999)] = 0.9
    b2: Annotated[float, (0.0, 0.999999)] = 0.999
    rate_warmup_steps: Annotated[int, (0, 10**7)] = 0  # linear warm-up of both learning rates
    # Decay; the average follows faster while few steps have been made.
    ema: Annotated[float, (0.0, 0.999999)] = 0.999
    critic_steps: Annotated[int, (1, 1000)] = 1  # private steps for each public one
    # Examples differentiated at once; 0 = the whole batch.
    microbatch: Annotated[int, (0, 10**6)] = 0
    # Private leaves: all, or few: those of at most FEW numbers (biases, scales; class embeddings without codes).
    trained: Annotated[str, ("all", "few")] = "all"


FEW = 4096  # numbers of a leaf that is trained where few are


class Pool(NamedTuple):
    """The data of all cells, on the device; or, with one more leading axis, a pool of its own for each cell."""

    images: jax.Array  # uint8 [M, H, W, C]
    labels: jax.Array  # int32 [M]
    units: jax.Array  # int32 [U, m], rows of the pool that belong to each privacy unit, padded
    sizes: jax.Array  # int32 [U]
    # float32 [M, d], of each image (fpu/priors/conditioning.py); () where the model is conditioned on no code.
    codes: Any = ()


class Cell(NamedTuple):
    """What varies between trainings. All arrays; a group of cells has one more leading axis."""

    mask: jax.Array  # bool [U], which units are members
    clip: jax.Array  # clip norm C; inf = none
    noise_std: jax.Array  # noise multiplier times C, or more; 0 = none
    # Typed key, as secret as the data: Poisson sampling, noise and per-example draws.
    secret: jax.Array
    public: jax.Array  # typed key: initialisation, and the draws of public losses
    draws: Any = ()  # what public losses see: models.Draws (warmup.seen), or ()


class State(NamedTuple):
    """Everything a training carries from step to step. Holds no key."""

    step: jax.Array
    params: dict[str, Any]  # {'private': ..., 'public': ...}
    ema: dict[str, Any]  # running mean of params: what is sampled
    private_opt: Any
    public_opt: Any
    diagnostics: Diagnostics  # of the last step; private


def private_adam(plan: Plan, recipe: Recipe) -> optax.GradientTransformation:
    """The optimizer of the private part. It starts by adding noise."""
    return optax.chain(dp.add_noise(plan), adam(recipe, recipe.learning_rate))


def adam(recipe: Recipe, rate: float) -> optax.GradientTransformation:
    """Adam of a recipe, at this learning rate."""
    steps = recipe.rate_warmup_steps
    schedule = optax.linear_schedule(rate / (steps + 1), rate, steps)
    return optax.adam(schedule if steps else rate, b1=recipe.b1, b2=recipe.b2)


def initial(model: Model, plan: Plan, recipe: Recipe, cell: Cell, start: Any = None) -> State:
    """The state of one cell before its first step, from the parameters `start` or those of model.init."""
    params = model.init(jax.random.fold_in(cell.public, 0)) if start is None else start
    public = adam(recipe, recipe.public_learning_rate)
    return State(
        step=jnp.int32(0),
        params=params,
        ema=params,
        private_opt=private_adam(plan, recipe).init(_trained(recipe, params["private"])),
        public_opt=public.init(params["public"]),
        diagnostics=Diagnostics(jnp.float32(0), jnp.float32(0), jnp.int32(0)),
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
    private, public = state.params["private"], state.params["public"]
    data = Example(pool.images, pool.labels, pool.codes)
    key = jax.random.fold_in(cell.secret, now)
    batch = dp.sample(plan, key, data, mask=cell.mask, units=(pool.units, pool.sizes), axis=axis)

    trained = _trained(recipe, private)

    def loss(trained, example, key):
        image = example.image.astype(jnp.float32) / 255.0
        joined = _joined(trained, private)
        return model.loss(joined, public, example._replace(image=image), now, key)[0]

    clipped = dp.clipped_grad(
        loss, plan, cell.clip, noise_std=cell.noise_std, microbatch=recipe.microbatch or None
    )(trained, batch)
    updates, private_opt = private_adam(plan, recipe).update(clipped, state.private_opt, trained)
    private = _joined(optax.apply_updates(trained, updates), private)
    stepped = state._replace(private_opt=private_opt, diagnostics=clipped.diagnostics)
    return finished(model, recipe, cell, stepped, private, now)


def finished(
    model: Model, recipe: Recipe, cell: Cell, state: State, private: Any, now: jax.Array
) -> State:
    """The state after step `now`, which moved the private parameters to `private`: a public step, and the averages."""
    public, public_opt = _public_step(model, recipe, cell, private, state, now)
    params = {"private": private, "public": public}
    count = now.astype(jnp.float32)
    decay = jnp.minimum(recipe.ema, (1.0 + count) / (10.0 + count))
    ema = jax.tree.map(lambda mean, new: decay * mean + (1.0 - decay) * new, state.ema, params)
    return state._replace(step=state.step + 1, params=params, ema=ema, public_opt=public_opt)


def _trained(recipe: Recipe, private: Any) -> Any:
    """The leaves of `private` that DP-SGD changes, None for the others: they have neither gradient nor noise.

    A public rule, of shapes alone. Fewer numbers means less noise in all; the rest stays what the draws taught.
    """
    if recipe.trained == "all":
        return private
    return jax.tree.map(lambda leaf: leaf if leaf.size <= FEW else None, private)


def _joined(trained: Any, private: Any) -> Any:
    """`private` with the leaves of `trained` in place of its own, where there is one."""
    return jax.tree.map(
        lambda new, old: old if new is None else new, trained, private, is_leaf=lambda x: x is None
    )


def _public_step(model: Model, recipe: Recipe, cell: Cell, private, state: State, now):
    """(public parameters, their optimizer's state) after step `now`: no example is seen."""
    public, public_opt = state.params["public"], state.public_opt
    if model.public_loss is None:
        return public, public_opt
    public_loss, transformation = model.public_loss, adam(recipe, recipe.public_learning_rate)
    key = jax.random.fold_in(jax.random.fold_in(cell.public, 1), now)

    def one_step(public, opt):
        grads = jax.grad(public_loss)(public, private, key, cell.draws)
        updates, opt = transformation.update(grads, opt, public)
        return optax.apply_updates(public, updates), opt

    if recipe.critic_steps == 1:  # without a branch, inside which convolutions are slow on a CPU
        return one_step(public, public_opt)
    due = (now + 1) % recipe.critic_steps == 0
    return jax.lax.cond(due, one_step, lambda *same: same, public, public_opt)


def check_cells(plan: Plan, cells: Cell) -> None:
    """Refuse cells whose noise is less than what their plan accounts for.

    Args:
      cells: a group, with a leading axis, or one cell; arrays, not traced.

    Raises:
      ValueError: some cell's noise_std is below noise_multiplier * clip (beyond float32 rounding), is not a number,
        or no clip norm bounds what the plan's noise should hide. More noise than planned is allowed, and so is
        any under a plan without noise, which claims nothing.
    """
    multiplier = plan.sgd().noise_multiplier
    if multiplier == 0:
        return
    clips, stds = (np.atleast_1d(np.asarray(x, np.float64)) for x in (cells.clip, cells.noise_std))
    for number, (clip, std) in enumerate(zip(clips, stds, strict=True)):
        if not np.isfinite(clip):
            raise ValueError(
                f"cell {number} has no clip norm under a plan with noise multiplier {multiplier:g}: "
                "give it a finite one, or a plan without noise"
            )
        if not std >= multiplier * clip * (1 - 1e-6):
            raise ValueError(
                f"cell {number} has noise_std = {std:g}, less than the {multiplier * clip:g} that its plan accounts "
                f"for: set it to noise_multiplier * clip = {multiplier:g} * {clip:g}"
            )
