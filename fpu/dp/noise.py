"""Gaussian noise, and the optax transformation that turns a clipped sum into a private gradient."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu.dp.plan import Plan


def gaussian(tree: Any, key: jax.Array, std: Any) -> Any:
    """A tree plus independent N(0, std^2) on every coordinate, in float32.

    **Guarantees.** All leaves share one draw, cut into their shapes, so no two coordinates share noise.
    (A draw for each leaf is as good and doubles the time to compile a step.) std 0 adds exactly 0. The
    noise is float32 from Threefry: attacks on floating-point noise or on the generator are out of scope.
    """
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([x.size for x in leaves], dtype=int)
    draw = std * jax.random.normal(key, (ends[-1],), jnp.float32)
    noisy = [
        x.astype(jnp.float32) + draw[end - x.size : end].reshape(x.shape)
        for x, end in zip(leaves, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)


@dataclasses.dataclass(frozen=True, eq=False)
class ClippedSum:
    """A sum that must not be seen without noise, with the noise that it needs.

    No pytree, on purpose: whatever optimizer or transformation meets it before `add_noise` has dealt
    with it fails when it is traced, and a step without noise, or with the noise in the wrong place,
    cannot be run.
    """

    total: Any  # pytree like the parameters, float32
    std: Any  # scalar: noise multiplier times clip norm
    key: jax.Array  # secret typed key, used for nothing else
    plan: Plan
    diagnostics: Any = None  # clipping.Diagnostics of the batch: private


def add_noise(plan: Plan) -> optax.GradientTransformation:
    """ClippedSum to private mean gradient, (total + noise) / (q n). Chain it before any optax optimizer.

    Raises, when it is traced: TypeError for what is no ClippedSum, ValueError for one of another plan.

    **Guarantees.** Every call is one of the plan's noised sums. The denominator is the plan's constant,
    never the realised batch, so what comes out is a post-processing of the noised sum. Its state counts
    the calls: what a call beyond the plan's steps returns is NaN, and shows nothing of the data. The
    count is folded into the key, so that a key that is by mistake the same in every step does not give
    the same noise. (It gives the same sample, which no accounting here allows for.) Noise is added
    once per call: make it after the last microbatch and after any sum across devices.
    """
    sgd = plan.sgd()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        clipped, count = updates, state
        if not isinstance(clipped, ClippedSum):
            raise TypeError(
                "add_noise takes what clipped_grad returned: put it first in optax.chain, outside every wrapper"
            )
        if clipped.plan != plan:
            raise ValueError(
                "the clipped sum is of another plan than add_noise: make both from one plan"
            )
        noised = gaussian(clipped.total, jax.random.fold_in(clipped.key, count), clipped.std)
        denominator = jnp.where(count < sgd.steps, sgd.denominator, jnp.nan)
        return jax.tree.map(lambda g: g / denominator, noised), count + 1

    return optax.GradientTransformation(lambda params: jnp.int32(0), update)
