"""Private Evolution (arXiv:2305.15560) on the images of a public prior, as with a simulator (arXiv:2502.05505).

A population of public images for each class evolves in ROUNDS. In each one every member votes for the image of its own
class's population that is nearest to it in the prior's space; votes are counted with noise, counts below a threshold
are dropped, and the next population is varied from parents drawn by what is left. Where the papers ask a large model
or a simulator for images and variations of them, here

    a random image     is one of the prior's pool;
    a variation        is the image of the pool that is nearest to the parent's code plus noise of a degree that falls
                       from round to round, as the papers' does.

What is released are the last population and its noised votes. A draw is one more variation, moved towards its code by
the prior's own variations where it has some. Draws cost no privacy, and there are as many as are wanted.
"""

from typing import Any

import jax
import numpy as np

from fpu.dp import moments
from fpu.models import Spec
from fpu.priors import Prior, draws, release

# Tuned on validation parts of train (experiments/README.md).
ROUNDS = 4
THRESHOLD = 2.0  # deviations of the noise on a count; votes above it count
# Degrees of the first variation and of draws, in deviations within a class of the prior.
WIDE, NARROW = 2.5, 1.2
PER_ROOM, MOST = 13.0, 1000  # images of a class: over the root of n / K / sigma; at most

PARAMETERS = release.MIXTURE  # the arrays that `fit` returns: what a release may hold


def components(prior: Prior, denominator: float, n_classes: int, noise_multiplier: float) -> int:
    """Images in the population of each class: a public rule of N / K / sigma."""
    del prior
    room = release.room(denominator, n_classes, noise_multiplier)
    return int(np.clip(PER_ROOM * room**0.5, 2, MOST))


def fit(
    prior: Prior, spec: Spec, pool, denominator: float, noise_multiplier: float, key: jax.Array
) -> dict[str, Any]:
    """Parameters for `sample`, float32: codes of the last population [K, M, d], its votes [K, M], the root of the
    covariance of a variation [K, d, d].

    Args: as release.fit.

    **Guarantees.** One unit gives one image, whose code depends on it and the public prior alone. In each of ROUNDS
    rounds it gives one vote, 1 in one count of its class, so a round's counts move by at most 1 in l2 (moments.votes).
    Which count depends on its code, its class and a population that is public or made of counts noised before. Each
    round has noise multiplier sigma sqrt(ROUNDS): their shares of 1 / sigma^2 add up to 1, and together they are one
    Gaussian release of sigma. The rest is post-processing.
    """
    k_unit, k_public, k_votes = jax.random.split(key, 3)
    codes, labels = release.codes_of_units(prior, spec, pool, k_unit)
    count = spec.n_classes
    several = components(prior, denominator, count, noise_multiplier)
    std = noise_multiplier * ROUNDS**0.5
    rng = np.random.default_rng(np.asarray(jax.random.key_data(k_public)))
    root, degrees = release.cholesky(prior), np.geomspace(WIDE, NARROW, ROUNDS)

    population = prior.codes[rng.integers(0, len(prior.codes), (count, several))]
    weights = np.ones((count, several)) / several
    for i, k_round in enumerate(jax.random.split(k_votes, ROUNDS)):
        if i:
            population = _varied(prior, population, weights, degrees[i - 1] * root, rng)
        cells = labels * several + release.nearest(codes, labels, population)
        noised = moments.votes(cells, count * several, k_round, std)
        weights = _above(np.asarray(noised, np.float64).reshape(count, several), std)
    roots = np.repeat(NARROW * root[None], count, axis=0)
    return release.mixture(population, weights, roots)


def sample(prior: Prior, spec: Spec, params: dict[str, Any], key: jax.Array, labels) -> np.ndarray:
    """float32 [n, H, W, C] in [0, 1]: a variation of the population of each label's class, on the host."""
    return draws.sample(prior, spec, params, key, labels, "varied")


# What follows sees no image.


def _above(counts, std):
    """Shares [K, M] of the votes above the threshold; the largest count has all where none is."""
    left = np.maximum(counts - THRESHOLD * std, 0.0)
    best = counts.argmax(1)[:, None] == np.arange(counts.shape[1])[None]
    left = np.where(left.any(1, keepdims=True), left, best)
    return left / left.sum(1, keepdims=True)


def _varied(prior, population, weights, root, rng):
    """The next population [K, M, d]: each parent that was drawn once as it is, and variations of parents."""
    children = np.empty_like(population)
    for own, weight, new in zip(population, weights, children, strict=True):
        parents = rng.choice(len(own), len(own), p=weight)
        noise = rng.standard_normal(own.shape) @ root.T
        moved = (own[parents] + noise).astype(np.float32)
        new[:] = prior.codes[draws.nearest(prior, moved)]
        drawn, first = np.unique(parents, return_index=True)
        new[first] = own[drawn]
    return children
