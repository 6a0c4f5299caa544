"""Warm-up: teach a model on draws from a DP release before, or instead of, showing it any image.

The draws are post-processing of the release of a teacher (`gaussian`, or in the space of a public prior: see
fpu/baselines/), so whatever is learned from them costs nothing more: fpu/README.md, Why a warm-up. The idea is that
of DP-FETA: central images first, then DP-SGD.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fpu.baselines import Baseline
from fpu.dp import plan, sharding
from fpu.dp.plan import DPSGD, Plan
from fpu.models import Draws, Example, Model
from fpu.training import dpsgd, loop
from fpu.training.dpsgd import Cell, Pool, Recipe, State

DRAWS = 10_000
BATCH = 64
_CHUNK = 1000  # images drawn at once


def draws(
    teacher: Baseline,
    release: Any,
    n_classes: int,
    key: jax.Array,
    done: Callable[[int], Any] = lambda images: None,
) -> Pool:
    """A pool of DRAWS draws, classes in turn: the class counts of the data are private.

    Args:
      release: what teacher.fit returned.
      key: public.
      done: called with how many are made, after each chunk.
    """
    numbers = jnp.arange(DRAWS)
    labels, parts = numbers % n_classes, []
    for first in range(0, DRAWS, _CHUNK):
        rows = numbers[first : first + _CHUNK]
        images = teacher.sample(release, jax.random.fold_in(key, rows[0]), labels[rows])
        parts.append(jnp.round(255.0 * images).astype(jnp.uint8))
        done(first + len(rows))
    return Pool(jnp.concatenate(parts), labels, numbers[:, None], jnp.ones_like(numbers))


def seen(model: Model, draws: Pool) -> Any:
    """Of public draws what a model's public loss sees: all of them; () where it sees none."""
    if model.public_loss is None or isinstance(draws.codes, tuple):
        return ()
    return Draws(draws.images, draws.labels, draws.codes)


def sgd(count: int, steps: int) -> DPSGD:
    """The steps of a warm-up on `count` draws, as a stage without noise."""
    rate = min(1.0, BATCH / count)
    return DPSGD(count, rate, steps, 0.0, plan.capacity(count, rate, steps, 1e-5))


def pretrain(
    model: Model, recipe: Recipe, pools: Pool, keys: jax.Array, steps: int, **arguments: Any
) -> Iterator[tuple[int, State]]:
    """Train a cell on each pool of draws, without clipping and noise: the (step, State) of loop.fit.

    Args:
      pools: draws, with a leading axis of cells on every leaf.
      keys: public keys [cells]; nothing here is secret.
      arguments: mesh and restore of loop.fit.
    """
    count, n = pools.labels.shape
    # No guarantee is claimed for draws, and a plan without noise has eps = inf at any delta.
    no_privacy = Plan(0.5, (sgd(n, steps),), "draw")
    purpose = jax.vmap(jax.random.fold_in, (0, None))
    cells = Cell(
        mask=jnp.ones((count, n), bool),
        clip=jnp.full(count, jnp.inf),
        noise_std=jnp.zeros(count),
        secret=purpose(keys, 0),
        public=purpose(keys, 1),
    )
    return loop.fit(model, no_privacy, recipe, pools, cells, step=step, **arguments)


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
    """Step number `now` on BATCH draws: dpsgd.step without what hides an example, for draws are public.

    The gradient is that of the mean loss. Clipping each example's by an infinite norm and adding noise of 0 would be
    the same and take several times as long.

    Args: as those of dpsgd.step. All of the pool are drawn from, whatever the cell's mask, clip norm and noise.

    Raises ValueError where the plan has noise, as one that hides examples has: these steps do not follow it.
    """
    if plan.sgd().noise_multiplier:
        raise ValueError(
            "a plan with noise is for dpsgd.step: a warm-up neither clips nor adds noise"
        )
    k_rows, k_examples = jax.random.split(jax.random.fold_in(cell.secret, now))
    rows = jax.random.randint(k_rows, (BATCH,), 0, len(pool.labels))
    keys, valid = jax.random.split(k_examples, BATCH), jnp.ones(BATCH, bool)
    if axis is not None:
        slots, valid = sharding.share(jnp.arange(BATCH), valid, axis)
        rows, keys = rows[slots], keys[slots]
    images, labels, codes = jax.tree.map(lambda x: x[rows], (pool.images, pool.labels, pool.codes))
    batch = Example(images.astype(jnp.float32) / 255.0, labels, codes)

    def mean_loss(private):
        losses, _ = jax.vmap(model.loss, (None, None, 0, None, 0))(
            private, state.params["public"], batch, now, keys
        )
        return jnp.sum(jnp.where(valid, losses, 0.0)) / BATCH

    private = state.params["private"]
    loss, gradient = jax.value_and_grad(mean_loss)(private)
    if axis is not None:
        loss, gradient = jax.lax.psum((loss, gradient), axis)
    noise, moments = state.private_opt  # as DP-SGD has it
    updates, moments = dpsgd.adam(recipe, recipe.learning_rate).update(gradient, moments, private)
    stepped = state._replace(
        private_opt=(noise, moments), diagnostics=state.diagnostics._replace(loss=loss)
    )
    private = optax.apply_updates(private, updates)
    shown = cell._replace(draws=seen(model, pool))
    return dpsgd.finished(model, recipe, shown, stepped, private, now)
