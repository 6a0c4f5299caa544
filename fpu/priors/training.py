"""Training of a prior's semantic VAE (network.py), on public images only.

The loss of ONE image is

    Bernoulli nats of the image + beta KL(posterior | normal) + weight * cross-entropy of its class, from a linear head

(VAE: arXiv:1312.6114.) The head makes images of one letter lie together, so that the mean of a class of OTHER images, a
digit say, says what they look like. The KL term keeps the codes round: a public radius and no whitening do.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu.priors.network import Config, Decoder, Encoder, applied, initial

BATCH, RATE, WARM_UP, WEIGHT_DECAY, EMA = 128, 2e-3, 300, 1e-3, 0.997


def terms(config: Config, params: Any, image: jax.Array, kind: jax.Array, key: jax.Array):
    """(nats of the pixels, KL, cross-entropy of the class) of ONE image [side, side, 1] of class `kind`."""
    mean, logvar = applied(Encoder(config), params["encoder"], image)
    code = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
    logits = applied(Decoder(config), params["decoder"], code)
    nats = jnp.sum(jax.nn.softplus(logits) - image * logits)
    kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar)
    named = code @ params["head"]["kernel"] + params["head"]["bias"]
    return nats, kl, optax.softmax_cross_entropy_with_integer_labels(named, kind)


def fit(
    config: Config,
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    classes: int,
    steps: int,
    seed: int,
    say: Callable[[int, np.ndarray], None] = lambda step, losses: None,
) -> dict[str, Any]:
    """Averaged parameters after `steps` steps of AdamW.

    Args:
      batches: of (uint8 [BATCH, side, side, 1], int32 [BATCH]), as many as steps or more; public images.
      say: called every hundredth of the steps with the step and the last batch's terms [3].
    """
    k_init, k_steps = jax.random.split(jax.random.key(seed))
    params = initial(config, classes, k_init)
    state = params, params, _optimiser(steps).init(params)
    for step in range(steps):
        images, kinds = next(batches)
        key = jax.random.fold_in(k_steps, step)
        state, losses = _step(config, steps, state, images, kinds, key)
        if (step + 1) % max(steps // 100, 1) == 0:
            say(step + 1, np.asarray(losses))
    return jax.tree.map(np.asarray, state[1])


def _optimiser(steps):
    warm_up = min(WARM_UP, steps // 4 + 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, warm_up, max(steps, warm_up + 1))
    return optax.adamw(rate, weight_decay=WEIGHT_DECAY)


# A jitted step in a Python loop, not a scan: XLA's convolutions are slow inside a loop on a CPU.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(config, steps, state, images, kinds, key):
    params, average, optimiser = state
    pixels = images.astype(jnp.float32) / 255.0

    def loss(params):
        keys = jax.random.split(key, len(images))
        one = functools.partial(terms, config, params)
        nats, kl, naming = (jnp.mean(term) for term in jax.vmap(one)(pixels, kinds, keys))
        total = config.pixels * nats + config.beta * kl + config.naming * naming
        return total, jnp.stack([nats, kl, naming])

    gradient, losses = jax.grad(loss, has_aux=True)(params)
    updates, optimiser = _optimiser(steps).update(gradient, optimiser, params)
    params = optax.apply_updates(params, updates)
    average = jax.tree.map(lambda old, new: EMA * old + (1 - EMA) * new, average, params)
    return (params, average, optimiser), losses
