"""Generators that are not trained: what a trained one must beat, and the two ends of the scale.

gaussian  one DP release of class means and covariances, then a normal draw for each image: seconds
merf      one DP release of class means of random features, then a generator that meets them (DP-MERF)
copycat   hands out the members themselves: best fidelity, no privacy
fresh     hands out held-out real images: what a perfect generator would do
noise     uniform pixels, whatever the data: the other end of every scale
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fpu.baselines import gaussian, merf
from fpu.models import Spec


class Baseline(NamedTuple):
    """A generator without steps.

    fit(pool, denominator, noise_multiplier, key) -> params. `pool` is a training.Pool of the members,
        or of the non-members where `source` says so; `denominator` is the public number of units.
    sample(params, key, labels [n]) -> float32 [n, H, W, C] in [0, 1]
    """

    source: str  # whose images `fit` is given: members or nonmembers
    private: bool  # whether `fit` goes through the Gaussian mechanism
    fit: Callable
    sample: Callable


def one_shot(release, spec: Spec) -> Baseline:
    """One DP release of the members, and draws from it: the `fit` and `sample` of a module of RELEASES."""
    fit = functools.partial(release.fit, spec)
    return Baseline("members", True, fit, functools.partial(release.sample, spec))


def _real(source: str) -> Baseline:
    """Random images of the wanted class, without replacement until all of them have been used."""

    def fit(pool, denominator, noise_multiplier, key):
        del denominator, noise_multiplier, key
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


def noise(spec: Spec) -> Baseline:
    """Every pixel uniform on [0, 1]. Looks at no image."""

    def fit(pool, denominator, noise_multiplier, key):
        del pool, denominator, noise_multiplier, key
        return {}

    def sample(params, key, labels):
        del params
        return jax.random.uniform(key, (len(labels), *spec.shape))

    return Baseline("members", False, fit, sample)


RELEASES = {"gaussian": gaussian, "merf": merf}
BASELINES = {name: functools.partial(one_shot, module) for name, module in RELEASES.items()}
BASELINES |= {"copycat": copycat, "fresh": fresh, "noise": noise}
