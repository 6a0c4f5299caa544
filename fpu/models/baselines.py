"""Generators that are not trained: what a trained one must beat, and the two ends of the scale.

gaussian  one DP release of class means and a shared pixel variance, then a Gaussian per class: seconds
copycat   hands out the members themselves: best fidelity, no privacy
fresh     hands out held-out real images: what a perfect generator would do
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fpu.dp import clipping, noise, sampling
from fpu.models import Spec


class Baseline(NamedTuple):
    """A generator without steps.

    fit(pool, denominator, clip, noise_std, key) -> params. `pool` is a training.Pool of the members,
        or of the non-members where `source` says so; `denominator` is the public number of units.
    sample(params, key, labels [n]) -> float32 [n, H, W, C] in [0, 1]
    """

    source: str  # whose images `fit` is given: members or nonmembers
    private: bool  # whether `fit` goes through the Gaussian mechanism
    fit: Callable
    sample: Callable


def gaussian(spec: Spec) -> Baseline:
    """Per class N(mean, diag(variance)) from one noised sum."""
    pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]
    # Public weights of the parts of a row, so that a typical row is about as long as the clip norm:
    # an image of mean square 1/4 has norm sqrt(pixels) / 2.
    scale, count_weight, square_weight = 2.0 / pixels**0.5, 0.3, 0.6 / pixels**0.5

    def fit(pool, denominator, clip, noise_std, key):
        k_unit, k_noise = jax.random.split(key)
        units = jnp.arange(len(pool.sizes))
        rows = sampling.one_of(k_unit, units, pool.units, pool.sizes)
        x = pool.images[rows].reshape(len(rows), pixels).astype(jnp.float32) / 255.0
        parts = jnp.concatenate(
            [scale * x, jnp.full((len(x), 1), count_weight), square_weight * jnp.square(x)], axis=1
        )
        parts = clipping.clip_rows(parts, clip)
        # Each row lands in the block of its class, the squares in one shared block: the joint vector
        # has the norm of the row, so one unit moves it by at most `clip`.
        split = pixels + 1
        by_class = jax.ops.segment_sum(parts[:, :split], pool.labels[rows], spec.n_classes)
        by_class, squares = noise.gaussian((by_class, parts[:, split:].sum(0)), k_noise, noise_std)
        # Post-processing. A count never falls below a quarter of the public mean count.
        counts = by_class[:, pixels] / count_weight
        counts = jnp.maximum(counts, 0.25 * denominator / spec.n_classes)[:, None]
        means = jnp.clip(by_class[:, :pixels] / scale / counts, 0.0, 1.0)
        second = squares / square_weight / denominator
        between = jnp.sum(counts / jnp.sum(counts) * jnp.square(means), axis=0)
        deviation = jnp.sqrt(jnp.clip(second - between, 0.0, 0.25))
        return {"means": means, "deviation": deviation}

    def sample(params, key, labels):
        draws = jax.random.normal(key, (len(labels), pixels)) * params["deviation"][None]
        return jnp.clip(params["means"][labels] + draws, 0.0, 1.0).reshape(-1, *spec.shape)

    return Baseline("members", True, fit, sample)


def _real(source: str) -> Baseline:
    """Random images of the wanted class, without replacement until all of them have been used."""

    def fit(pool, denominator, clip, noise_std, key):
        del denominator, clip, noise_std, key
        return {"images": pool.images, "labels": pool.labels}

    def sample(params, key, labels):
        shuffled = jax.random.permutation(key, len(params["labels"]))
        by_class = shuffled[jnp.argsort(params["labels"][shuffled], stable=True)]
        classes = jnp.arange(jnp.max(params["labels"]) + 1)
        counts = jnp.sum(params["labels"][None] == classes[:, None], axis=1)
        starts = jnp.cumsum(counts) - counts
        # How many of the same label come before each one.
        wanted = (labels[:, None] == classes[None]).astype(jnp.int32)
        turn = jnp.take_along_axis(jnp.cumsum(wanted, axis=0), labels[:, None], axis=1)[:, 0] - 1
        rows = by_class[starts[labels] + turn % counts[labels]]
        return params["images"][rows].astype(jnp.float32) / 255.0

    return Baseline(source, False, fit, sample)


def copycat(spec: Spec) -> Baseline:
    """The members themselves."""
    del spec
    return _real("members")


def fresh(spec: Spec) -> Baseline:
    """Held-out real images."""
    del spec
    return _real("nonmembers")


BASELINES = {"gaussian": gaussian, "copycat": copycat, "fresh": fresh}
