"""DP-MERF (arXiv:2002.11603): one release of a random-feature mean of each class, then a generator fitted to it.

Each image is used once, and fitting takes seconds. As published, the features are those of a Gaussian kernel (random
Fourier features) and the generator is trained by maximum mean discrepancy (MMD) alone. Here images are seen through
the same low frequencies as in the `gaussian` release, so that each feature depends more on shapes, and sums are
divided by noised class counts.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu.baselines import gaussian
from fpu.dp import moments
from fpu.dp.rows import each_alone
from fpu.models import Model, Spec, frequencies, gan
from fpu.priors import release

FEATURES = 1000  # frequencies, with a cosine and a sine each
SCALE = 0.43  # the kernel's length over half of the pixel cube's diagonal; tuned on public digits
STEPS, RATE, BATCH = 2000, 1e-3, 50  # of the generator; fakes of each class in one step

PARAMETERS = ("params",)  # the arrays that `fit` returns: what a release may hold


def fit(spec: Spec, pool, denominator: float, noise_multiplier: float, key) -> Any:
    """The generator's parameters for `sample`, from one noised sum.

    Args: as gaussian.fit.

    **Guarantees.** One unit gives one image, whose features depend on it alone (each_alone) and have l2 norm 1,
    in one Gaussian release with noise multiplier sigma (moments.embeddings). Only that call sees images;
    training the generator is post-processing.
    """
    k_unit, k_noise, k_fit = jax.random.split(key, 3)
    images, labels = release.images_of_units(spec, pool, k_unit)
    features = _features(spec)
    terms = each_alone(lambda x: np.asarray(features(x.astype(np.float32) / 255.0)), images)
    sums, counts = moments.embeddings(terms, labels, spec.n_classes, k_noise, noise_multiplier)
    wanted = sums / gaussian.shrunk_counts(counts, denominator, noise_multiplier)[:, None]
    return _train(spec, wanted, k_fit)


def sample(spec: Spec, params: Any, key, labels) -> jax.Array:
    """float32 [n, H, W, C] in [0, 1]."""
    return _generator(spec).sample({"public": params}, key, labels)


def _generator(spec: Spec) -> Model:
    return gan.make(gan.SIZES["default"], spec)


@functools.lru_cache(maxsize=4)
def _features(spec: Spec) -> Callable:
    """images [n, H, W, C] -> random Fourier features [n, 2 * FEATURES] of norm 1; public."""
    rows = frequencies.basis(tuple(spec.shape)).rows
    length = SCALE * 0.5 * float(np.prod(spec.shape)) ** 0.5
    frequency = np.random.default_rng(0).normal(size=(len(rows), FEATURES)) / length
    projection = jnp.asarray(rows.T @ frequency, jnp.float32)

    return jax.jit(lambda images: fourier((images.reshape(len(images), -1) - 0.5) @ projection))


def fourier(phase: jax.Array) -> jax.Array:
    """Cosines and sines of phases [..., F] as features [..., 2 F] of norm 1."""
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1) / phase.shape[-1] ** 0.5


# What follows sees no image.


def _train(spec, wanted, key):
    """Adam on sum_k |wanted_k - mean of the features of fakes of class k|^2, the squared MMD by class."""
    k_init, k_steps = jax.random.split(key)
    init, train = _programs(spec, gan.SIZES["default"])
    return train(init(k_init), wanted, jax.random.split(k_steps, STEPS))


@functools.lru_cache(maxsize=4)
def _programs(spec: Spec, config: gan.Config) -> tuple[Callable, Callable]:
    """(key -> params, (params, wanted [K, 2 * FEATURES], keys [steps]) -> params), compiled once."""
    model, features = gan.make(config, spec), _features(spec)
    labels = jnp.repeat(jnp.arange(spec.n_classes), BATCH)

    def train(params, wanted, keys):
        def discrepancy(params, key):
            fakes = features(model.sample({"public": params}, key, labels))
            means = jnp.mean(fakes.reshape(spec.n_classes, BATCH, -1), axis=1)
            return jnp.sum(jnp.square(wanted - means))

        return descended(discrepancy, params, keys, RATE)

    return jax.jit(lambda key: model.init(key)["public"]), jax.jit(train)


def descended(loss: Callable, params: Any, inputs: jax.Array, rate: float) -> Any:
    """The parameters after Adam on loss(params, input), a step for each input, at a rate that falls to 0."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, len(inputs)))

    def step(state, given):
        params, adam = state
        updates, adam = optimizer.update(jax.grad(loss)(params, given), adam)
        return (optax.apply_updates(params, updates), adam), None

    return jax.lax.scan(step, (params, optimizer.init(params)), inputs)[0][0]
