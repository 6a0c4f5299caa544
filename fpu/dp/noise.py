"""Gaussian noise, and the optax transformation that turns a clipped sum into a private gradient."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy import special
from scipy import special as host_special

from fpu.dp import tails
from fpu.dp.plan import Plan

CELL = 2.0**-10  # of the noise: what is noised is rounded to multiples of it


def gaussian(tree: Any, key: jax.Array, std: Any) -> Any:
    """A tree plus independent N(0, std^2) on every coordinate, in float32, rounded to multiples of std / 1024.

    **Guarantees.** All leaves share one draw, cut into their shapes, so no two coordinates share noise.
    (A draw for each leaf is as good and doubles the time to compile a step.) std 0 adds exactly 0. A draw is
    `normal`: it reaches to 11.3 std, which the plan pays for (tails.py). Rounding what is noised is post-processing.
    Its cells hold thousands of draws each, so that no low bit tells what was noised (without it, half of the
    coordinates were told from those of a neighbour; Mironov 2012), as long as the sum is below 1,000 std. Equal
    keys give equal bits.
    """
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([x.size for x in leaves], dtype=int)
    draw, cell = std * normal(key, sum(x.size for x in leaves)), std * CELL

    def noised(x, end):
        sums = x.astype(jnp.float32) + draw[end - x.size : end].reshape(x.shape)
        return jnp.where(cell > 0, jnp.round(sums / jnp.where(cell > 0, cell, 1.0)) * cell, sums)

    noisy = [noised(x, end) for x, end in zip(leaves, ends, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def normal(key: jax.Array, count: int) -> jax.Array:
    """float32 [count] of N(0, 1), each from tails.STEP_WORDS words of 32 random bits.

    The first bit is the sign; the others, w_1 of 31 bits and w_2, w_3 of 32, are the probability beyond the draw,

        v = w_1 2^-32 + w_2 2^-64 + (w_3 + 1/2) 2^-96      in (0, 1/2),      |z| = -Phi^-1(v),

    rounded to 24 bits wherever it lies. (jax.random.normal takes v from 23 bits: it has 2^23 values and ends at 5.4.)
    Beside 0 draws are 7e-8 apart, in the tail less than float32 numbers are. On two CPU cores a million take 26 ms,
    2.6 times as long as jax.random.normal.
    """
    keys = jax.random.split(key, tails.STEP_WORDS)  # a word each: one long draw is twice as slow
    first, *rest = (jax.random.bits(k, (count,), jnp.uint32) for k in keys)
    tail = (first >> 1).astype(jnp.float32) * 2.0**-32
    for place, word in enumerate(rest, 2):
        half = 0.5 if place == tails.STEP_WORDS else 0.0
        tail = tail + (word.astype(jnp.float32) + half) * 2.0 ** (-32 * place)
    size = -special.ndtri(tail)
    return jnp.where(first & 1 == 1, -size, size)


def normal_on_host(key: jax.Array, count: int) -> np.ndarray:
    """float64 [count] of N(0, 1), each from tails.RELEASE_WORDS words, as in `normal`: v has 53 bits, |z| ends at 26.5.

    Words come from the device, the rest is scipy's: not for use inside jit.
    """
    words = np.asarray(jax.random.bits(key, (tails.RELEASE_WORDS, count), jnp.uint32))
    tail = (words[0] >> 1) * 2.0**-32
    for place, word in enumerate(words[1:], 2):
        tail = tail + word * 2.0 ** (-32 * place)
    tail = tail + 2.0 ** (-32 * tails.RELEASE_WORDS - 1)
    return np.where(words[0] & 1 == 1, 1, -1) * host_special.ndtri(tail)


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
