"""Warm-up: teach a model on draws from a DP release before, or instead of, showing it any image.

The draws are post-processing of the release (fpu/models/gaussian.py), so whatever is learned from them
costs nothing more. At a few hundred images and eps = 1 this is worth far more than DP-SGD from scratch; the
idea is that of DP-FETA (central images, then DP-SGD).
"""

import jax
import jax.numpy as jnp

from fpu import training
from fpu.dp import sampling
from fpu.dp.plan import DPSGD, Plan
from fpu.models import Model, Spec, gaussian

DRAWS = 10_000
BATCH = 64


def draws(spec: Spec, release, key, count: int = DRAWS) -> training.Pool:
    """A pool of `count` draws, classes in turn: the class counts of the data are private.

    Args:
      release: what gaussian.fit returned.
      key: public.
    """
    labels = jnp.arange(count) % spec.n_classes

    def part(chunk):
        images = gaussian.sample(spec, release, jax.random.fold_in(key, chunk[0]), labels[chunk])
        return jnp.round(255.0 * images).astype(jnp.uint8)

    chunks = [jnp.arange(i, min(i + 1000, count)) for i in range(0, count, 1000)]
    numbers = jnp.arange(count)
    images = jnp.concatenate([part(chunk) for chunk in chunks])
    return training.Pool(images, labels, numbers[:, None], jnp.ones_like(numbers))


def pretrain(model: Model, recipe: training.Recipe, pool: training.Pool, key, steps: int, **hooks):
    """Train one cell on draws, without clip or noise; returns the averaged parameters.

    Args:
      key: public; nothing here is secret.
      hooks: mesh, observe and restore of training.fit.

    Returns: {'private': ..., 'public': ...} with the leading axis of one cell, as training.fit's `start`.
    """
    n = len(pool.labels)
    rate = min(1.0, BATCH / n)
    # No guarantee is claimed for draws, and a plan without noise has eps = inf at any delta.
    plan = Plan(0.5, (DPSGD(n, rate, steps, 0.0, sampling.capacity(n, rate)),), "draw")
    cell = training.Cell(
        mask=jnp.ones(n, bool),
        clip=jnp.float32(jnp.inf),
        noise_std=jnp.float32(0.0),
        secret=jax.random.fold_in(key, 0),
        public=jax.random.fold_in(key, 1),
    )
    cells = jax.tree.map(lambda x: x[None], cell)
    return training.fit(model, plan, recipe, pool, cells, **hooks).ema
