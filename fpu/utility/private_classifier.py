"""A classifier trained by DP-SGD: what one gets by spending the same (eps, delta) on a classifier.

It is what a synthetic set is held against where the task is known beforehand. It is linear in the frequencies of the
image, a public basis. A small convolutional net, at its best learning rate, reached .78 at eps = 1 on 500 digits,
where this reaches .81, and .61 on 1,000 images of MNIST (this .71); at eps = 10 .93 (.92) and .83 (.85). Every step
sees every image, so nothing is sampled. It is never released, and its budget is its own.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from fpu import dp
from fpu.models.frequencies import basis

# One recipe, chosen on held-out parts of the TRAIN splits of digits (n = 100, 500, 1,200), MNIST (100,
# 1,000, 5,000) and PneumoniaMNIST (400) at eps = 1, 3, 10: within .015 of the best learning rate on a grid
# there, as good as or better than pixels, unit-norm features, 10 or 30 steps, and clip norms of .1 and 4.
_STEPS, _CLIP, _MOMENTUM = 100, 1.0, 0.9
_NOISE = 0.4  # what the noise of all steps together may move a weight by: it sets the learning rate
_FASTEST = 1.0  # learning rate where there is next to no noise
_MICROBATCH = 2000  # images differentiated at once


def train(
    images: ArrayLike,
    labels: ArrayLike,
    n_classes: int,
    eps: float,
    delta: float,
    secret: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """Parameters {'kernel' [d, K], 'bias' [K]} for `logits`.

    Args:
      images, labels: uint8 [n, H, W, C] and ints [n], n >= 1; the privacy unit is one image.
      eps, delta: the guarantee for one image; eps finite.
      secret: None, or a typed key as secret as the data, of this call alone: the same key gives the same
        parameters, as a run that was killed and goes on needs it.

    Raises:
      ValueError: no noise gives that eps, or delta is not below 1 / n.

    **Guarantees.** (eps, delta), by dp.poisson_plan, for the parameters alone. n, K and the shape
    are public. Without `secret` keys come from the operating system, and no two calls give the same
    parameters; with it, they hold against nobody who knows it.
    """
    data = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    count, *shape = data[0].shape
    plan = dp.poisson_plan(count, count, _STEPS, delta, eps=eps, unit="image")
    first, step = _compiled(plan, tuple(shape), n_classes)
    state, keys = first(), dp.keys(plan)
    if secret is not None:
        keys = (jax.random.fold_in(secret, number) for number in range(_STEPS))
    for key in keys:
        state = step(state, key, data)
    return state[0]


def learning_rate(sgd: dp.DPSGD) -> float:
    """From n and the noise alone: weights end up with noise of standard deviation _NOISE, or less."""
    noise = _CLIP * sgd.noise_multiplier / sgd.denominator  # of one mean gradient
    return min(_FASTEST, _NOISE * (1 - _MOMENTUM) / (noise * _STEPS**0.5))


def logits(params: dict[str, jax.Array], images: np.ndarray) -> np.ndarray:
    """float32 [n, K] of uint8 images [n, H, W, C]."""
    rows = basis(images.shape[1:]).rows
    starts = range(0, len(images), _MICROBATCH)
    parts = [_batch_logits(params, rows, images[i : i + _MICROBATCH]) for i in starts]
    return np.concatenate([*parts, np.zeros((0, len(params["bias"])), np.float32)])


@jax.jit
def _batch_logits(params, rows, images):
    return jax.vmap(lambda image: _one_image(params, rows, image))(images)


def _one_image(params, rows, image):
    """Logits [K] of one image: every frequency of it, pixels centred on grey."""
    x = rows @ (image.astype(jnp.float32).reshape(-1) / 255.0 - 0.5)
    return x @ params["kernel"] + params["bias"]


@functools.lru_cache(maxsize=4)
def _compiled(plan, shape, n_classes):
    """(the state before the first step, a jitted step of (state, key, data))."""
    rows = basis(shape).rows

    def loss(params, example, key):
        del key
        image, label = example
        return optax.softmax_cross_entropy_with_integer_labels(
            _one_image(params, rows, image), label
        )

    clipped = dp.clipped_grad(loss, plan, _CLIP, microbatch=_MICROBATCH)
    optimizer = optax.chain(
        dp.add_noise(plan), optax.sgd(learning_rate(plan.sgd()), momentum=_MOMENTUM)
    )

    def first():
        params = {"kernel": jnp.zeros((len(rows), n_classes)), "bias": jnp.zeros(n_classes)}
        return params, optimizer.init(params)

    @jax.jit
    def step(state, key, data):
        params, opt = state
        updates, opt = optimizer.update(clipped(params, dp.sample(plan, key, data)), opt, params)
        return optax.apply_updates(params, updates), opt

    return first, step
