"""Gaussian noise, and the optax transformation that adds it to a clipped sum."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def gaussian(tree, key, std):
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


def add_noise(denominator: float) -> optax.GradientTransformationExtraArgs:
    """Turn a clipped sum into a private mean gradient: (sum + noise) / denominator.

    Chain it before any optax optimizer and pass `noise_key` (a fresh secret key each step) and
    `noise_std` (noise multiplier times clip norm) to `update`.

    **Guarantees.** The denominator is a public constant (q * N), never the realised batch, so the
    update is a post-processing of the noised sum. Noise is added once per call: call it once per
    step, after the last microbatch and after any sum across devices.
    """

    def update(updates, state, params=None, *, noise_key, noise_std, **_):
        del params
        noised = gaussian(updates, noise_key, noise_std)
        return jax.tree.map(lambda g: g / denominator, noised), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
