"""DP-MERF (arXiv:2002.11603) in the space of a public prior: class means of random features of codes.

Codes of the members take the place of pixels, and free codes that of a generator: for each class a set of codes is
fitted until its mean feature is the noised one. Draws are made of the prior's images, as those of `prior` are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu.baselines import gaussian, merf
from fpu.dp import moments
from fpu.dp.rows import each_alone
from fpu.models import Spec
from fpu.priors import Prior, draws, release

FEATURES = 1000  # frequencies, with a cosine and a sine each
# Length of the Gaussian kernel over the root of d, where a class of the pool has covariance 1. Tuned on a validation
# part of digits' train (experiments/README.md).
LENGTH = 1.0
CODES = 40  # free codes of each class
EXAMPLES = 20_000  # codes of the pool among which the free codes begin
STEPS, RATE = 300, 0.1  # of Adam
NARROW = 0.7  # degree of a draw around its code, in deviations within a class of the prior

PARAMETERS = release.MIXTURE  # the arrays that `fit` returns: what a release may hold


def components(prior: Prior, denominator: float, n_classes: int, noise_multiplier: float) -> int:
    """Free codes of each class: the same whatever the members."""
    del prior, denominator, n_classes, noise_multiplier
    return CODES


def fit(
    prior: Prior, spec: Spec, pool, denominator: float, noise_multiplier: float, key: jax.Array
) -> dict[str, Any]:
    """Parameters for `sample`, float32: free codes [K, M, d], weights [K, M], the root of the covariance of a draw.

    Args: as release.fit.

    **Guarantees.** One unit gives one image, whose code depends on it and the public prior alone (release.encoded),
    and whose features have l2 norm 1, in one Gaussian release with noise multiplier sigma (moments.embeddings). Only
    that call sees codes; the rest is post-processing.
    """
    k_unit, k_noise, k_fit = jax.random.split(key, 3)
    codes, labels = release.codes_of_units(prior, spec, pool, k_unit)
    root, count = release.cholesky(prior), spec.n_classes
    phi = _features(len(root))
    features = each_alone(lambda z: np.asarray(phi(_white(z, root))), codes)
    sums, counts = moments.embeddings(features, labels, count, k_noise, noise_multiplier)
    wanted = sums / gaussian.shrunk_counts(counts, denominator, noise_multiplier)[:, None]
    found = _fitted(_white(prior.codes[:EXAMPLES], root), np.asarray(wanted), k_fit)
    means = np.einsum("kmd,ed->kme", found, root)
    weights = np.full(means.shape[:2], 1.0 / CODES)
    roots = np.repeat(NARROW * root[None], count, axis=0)
    return release.mixture(means, weights, roots)


def sample(prior: Prior, spec: Spec, params: dict[str, Any], key: jax.Array, labels) -> np.ndarray:
    """float32 [n, H, W, C] in [0, 1]: images of the pool near to a free code of each label's class, on the host."""
    return draws.sample(prior, spec, params, key, labels, "varied")


def _white(codes, root):
    """R^-1 z, float32: codes in which a class of the prior has covariance 1."""
    return np.linalg.solve(root, np.asarray(codes, np.float64).T).T.astype(np.float32)


@functools.cache
def _features(d: int) -> Callable:
    """White codes [..., d] -> random Fourier features [..., 2 * FEATURES] of norm 1; public."""
    length = LENGTH * d**0.5
    frequency = np.random.default_rng(0).normal(size=(d, FEATURES)) / length
    projection = jnp.asarray(frequency, jnp.float32)
    return jax.jit(lambda z: merf.fourier(z @ projection))


# What follows sees no image.


def _fitted(pool, wanted, key):
    """Codes [K, M, d] from those of the pool: Adam on sum_k |wanted_k - mean feature of class k's codes|^2.

    They begin at the codes of the pool whose own features are nearest to the class's mean.
    """
    features = _features(pool.shape[1])
    similar = np.concatenate([np.asarray(features(x)) @ wanted.T for x in np.array_split(pool, 20)])
    best = np.argsort(-similar, axis=0)[: 5 * CODES].T  # [K, 5 M]
    chosen = jax.vmap(lambda k, rows: jax.random.choice(k, rows, (CODES,), replace=False))(
        jax.random.split(key, len(wanted)), jnp.asarray(best)
    )
    return np.asarray(
        _train(jnp.asarray(pool)[chosen], jnp.asarray(wanted, jnp.float32), jnp.arange(STEPS))
    )


@jax.jit
def _train(codes, wanted, steps):
    features = _features(codes.shape[2])

    def discrepancy(codes, _):
        return jnp.sum(jnp.square(wanted - jnp.mean(features(codes), axis=1)))

    return merf.descended(discrepancy, codes, steps, RATE)
