"""The two ends of the scale: real images handed out as they are, and uniform noise."""

import jax
import jax.numpy as jnp

from fpu.models import Spec


def fit(spec: Spec, pool, denominator: float, noise_multiplier: float, key) -> dict[str, jax.Array]:
    """The images and labels of the pool.

    **Guarantees.** None: the parameters are the images.
    """
    del spec, denominator, noise_multiplier, key
    return {"images": pool.images, "labels": pool.labels}


def sample(spec: Spec, params, key, labels) -> jax.Array:
    """Random images of the wanted classes, float32 [n, H, W, C] in [0, 1].

    Without replacement, until all images of a class have been used.
    """
    del spec
    shuffled = jax.random.permutation(key, len(params["labels"]))
    by_class = shuffled[jnp.argsort(params["labels"][shuffled], stable=True)]
    counts = jnp.bincount(params["labels"])
    starts = jnp.cumsum(counts) - counts
    so_far = jnp.cumsum(jax.nn.one_hot(labels, len(counts), dtype=jnp.int32), axis=0)
    before = so_far[jnp.arange(len(labels)), labels] - 1  # equal labels before each label
    rows = by_class[starts[labels] + before % counts[labels]]
    return params["images"][rows].astype(jnp.float32) / 255.0


def fit_nothing(spec: Spec, pool, denominator: float, noise_multiplier: float, key) -> dict:
    """No parameters.

    **Guarantees.** eps = 0: no image is looked at.
    """
    del spec, pool, denominator, noise_multiplier, key
    return {}


def uniform(spec: Spec, params, key, labels) -> jax.Array:
    """Every pixel uniform on [0, 1], float32 [n, H, W, C]."""
    del params
    return jax.random.uniform(key, (len(labels), *spec.shape))
