"""A private linear classifier: logistic regression by noisy gradient descent on public features of the image.

Under privacy such features (private_features.py) are better than learned ones (arXiv:2011.11660). Every step sees every
image, so nothing is sampled.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from fpu import dp
from fpu.utility.private_features import Features

_CLIP, _MOMENTUM = 1.0, 0.9
_MICROBATCH = 2000  # images differentiated at once


def train(
    images: np.ndarray,
    labels: ArrayLike,
    n_classes: int,
    eps: float,
    delta: float,
    features: Features,
    secret: jax.Array | None = None,
    n: int | None = None,
) -> dict[str, jax.Array]:
    """Parameters {'kernel' [d, K], 'bias' [K]} for `logits`.

    Args:
      images, labels: uint8 [m, H, W, C] and ints [m], 1 <= m <= n; the privacy unit is one image.
      eps, delta: the guarantee for one image; eps finite.
      features: public.
      secret: None, or a typed key as secret as the data, of this call alone: the same key gives the same
        parameters, as a run that was killed and goes on needs it.
      n: the public number of images; None: m, which is then public.

    Raises:
      ValueError: no noise gives that eps, or delta is not below 1 / n.

    **Guarantees.** (eps, delta), by dp.poisson_plan, for the parameters alone. The features of an image depend on it
    and on what is public alone, so one image is one term of each sum, clipped to norm 1. n, K and the shape
    are public. Without `secret` keys come from the operating system, and no two calls give the same
    parameters; with it, they hold against nobody who knows it.
    """
    data = jnp.asarray(features.encode(images)), jnp.asarray(labels, jnp.int32)
    n, width = n or len(data[1]), data[0].shape[1]
    plan = dp.poisson_plan(n, n, features.steps, delta, eps=eps, unit="image")
    first, step = _compiled(
        plan, width, n_classes, learning_rate(plan.sgd(), features), features.bias
    )
    state, keys = first(), dp.keys(plan)
    if secret is not None:
        keys = (jax.random.fold_in(secret, number) for number in range(features.steps))
    for key in keys:
        state = step(state, key, data)
    return state[0]


def learning_rate(sgd: dp.DPSGD, features: Features) -> float:
    """From n and the noise alone: weights end up with noise of standard deviation features.noise, or less."""
    noise = _CLIP * sgd.noise_multiplier / sgd.denominator  # of one mean gradient
    return min(features.fastest, features.noise * (1 - _MOMENTUM) / (noise * features.steps**0.5))


def logits(params: dict[str, jax.Array], images: np.ndarray, features: Features) -> np.ndarray:
    """float32 [n, K] of uint8 images [n, H, W, C]."""
    rows = features.encode(images)
    return rows @ np.asarray(params["kernel"]) + features.bias * np.asarray(params["bias"])


@functools.lru_cache(maxsize=4)
def _compiled(plan, width, n_classes, rate, bias):
    """(the state before the first step, a jitted step of (state, key, data))."""

    def loss(params, example, key):
        del key
        x, label = example
        guess = x @ params["kernel"] + bias * params["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(guess, label)

    clipped = dp.clipped_grad(loss, plan, _CLIP, microbatch=_MICROBATCH)
    optimizer = optax.chain(dp.add_noise(plan), optax.sgd(rate, momentum=_MOMENTUM))

    def first():
        params = {"kernel": jnp.zeros((width, n_classes)), "bias": jnp.zeros(n_classes)}
        return params, optimizer.init(params)

    @jax.jit
    def step(state, key, data):
        params, opt = state
        everyone: Any = np.ones(len(data[1]), bool)  # fewer than the plan's n, perhaps
        batch = dp.sample(plan, key, data, mask=everyone)
        updates, opt = optimizer.update(clipped(params, batch), opt, params)
        return optax.apply_updates(params, updates), opt

    return first, step
