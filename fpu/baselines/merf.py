"""DP-MERF (arXiv:2002.11603): one release of a random-feature mean of each class, then a generator that meets it.

An honest rival for models trained by DP-SGD: seconds, one-shot, and no image is looked at twice. As published, the
features are those of a Gaussian kernel (random Fourier features) and the generator is trained by maximum
mean discrepancy (MMD) alone. Ours sees images through the same low frequencies as the `gaussian` release, which
raises what each feature says of the image's shape, and divides by noised class counts.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu.baselines import gaussian
from fpu.dp import moments, sampling
from fpu.models import frequencies, gan

FEATURES = 1000  # frequencies; each gives a cosine and a sine
SCALE = 0.43  # the kernel's length over half of the pixel cube's diagonal; tuned on public digits
STEPS, RATE, BATCH = 2000, 1e-3, 50  # of the generator; fakes of each class in one step


def fit(spec, pool, denominator: float, noise_multiplier: float, key):
    """The generator's parameters for `sample`, from one noised sum.

    Args: as gaussian.fit.

    **Guarantees.** One unit gives one image, whose features have l2 norm 1, in one Gaussian release with
    noise multiplier sigma (moments.embeddings). Only that call sees images; training the generator is
    post-processing.
    """
    k_unit, k_noise, k_fit = jax.random.split(key, 3)
    rows = sampling.one_of(k_unit, jnp.arange(len(pool.sizes)), pool.units, pool.sizes)
    features = _features(spec)
    parts = [
        np.asarray(features(pool.images[rows[i : i + 1000]].astype(jnp.float32) / 255.0))
        for i in range(0, len(rows), 1000)
    ]
    labels, count = pool.labels[rows], spec.n_classes
    sums, counts = moments.embeddings(
        np.concatenate(parts), labels, count, k_noise, noise_multiplier
    )
    wanted = sums / gaussian.shrunk_counts(counts, denominator, noise_multiplier)[:, None]
    return _train(spec, features, wanted, k_fit)


def sample(spec, params, key, labels):
    """float32 [n, H, W, C] in [0, 1]."""
    return _generator(spec).sample({"public": params}, key, labels)


def _generator(spec):
    return gan.make(gan.SIZES["default"], spec)


def _features(spec):
    """images [n, H, W, C] -> random Fourier features [n, 2 * FEATURES] of norm 1; public."""
    rows = frequencies.basis(tuple(spec.shape)).rows
    length = SCALE * 0.5 * float(np.prod(spec.shape)) ** 0.5
    waves = np.random.default_rng(0).normal(size=(len(rows), FEATURES)) / length
    look = jnp.asarray(rows.T @ waves, jnp.float32)

    def features(images):
        phase = (images.reshape(len(images), -1) - 0.5) @ look
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1) / FEATURES**0.5

    return jax.jit(features)


# What follows sees no image.


def _train(spec, features, wanted, key):
    """Adam on the squared MMD between the wanted class means [K, 2 * FEATURES] and those of fakes."""
    model, (k_init, k_steps) = _generator(spec), jax.random.split(key)
    labels = jnp.repeat(jnp.arange(spec.n_classes), BATCH)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def discrepancy(params, wanted, key):
        found = features(model.sample({"public": params}, key, labels))
        means = jnp.mean(found.reshape(spec.n_classes, BATCH, -1), axis=1)
        return jnp.sum(jnp.square(wanted - means))

    @jax.jit
    def train(params, wanted, key):
        def step(state, key):
            params, moments_ = state
            updates, moments_ = optimizer.update(
                jax.grad(discrepancy)(params, wanted, key), moments_
            )
            return (optax.apply_updates(params, updates), moments_), None

        start = params, optimizer.init(params)
        return jax.lax.scan(step, start, jax.random.split(key, STEPS))[0][0]

    return train(model.init(k_init)["public"], wanted, k_steps)
