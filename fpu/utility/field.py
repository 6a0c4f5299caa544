"""The classifier of the field's protocol: a residual network, trained to the end of a fixed schedule.

It stands where the papers of DP image synthesis have a ResNet or a WideResNet: pre-activation blocks (arXiv:1603.05027)
with batch statistics, SGD with Nesterov momentum under a one-cycle rate (arXiv:1708.07120), smoothed labels
(arXiv:1512.00567), images shifted at random. Nothing is selected on any data, and every set has the same number of
steps. It judges generators and is never released, so it is not trained privately.

On a CPU the host makes one step after the other; elsewhere the seeds are trained side by side, each as one loop of one
program with the images on the device, in bfloat16.
"""

import functools
from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu.dp.rows import each_alone

STEPS, BATCH = 4000, 128
SEEDS = 3
_WIDTHS, _BLOCKS = (32, 64), 2  # channels of each stage, and residual blocks in it
_LARGEST = 16  # side of the first stage, at most; the second has half
_RATE, _MOMENTUM, _DECAY, _SMOOTHING, _LONGEST = 0.1, 0.9, 5e-4, 0.1, 2.0
_CHUNK = 500  # images of one call of a trained network


class Conv(nn.Module):
    """[n, H, W, C] -> [n, H, W, features], 3 x 3, zeros around, without a bias.

    On accelerators as a matrix product of patches: with a kernel for each seed XLA would make grouped convolutions,
    which are slow. On a CPU patches cost two to three times as much as its own convolution.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = 3, 3, x.shape[-1], self.features
        kernel = self.param("kernel", nn.initializers.he_normal(), shape).astype(x.dtype)
        if _on_cpu():
            sides = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=sides)
        h, w = x.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
        return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, self.features)


class Net(nn.Module):
    """Images uint8 [n, H, W, C] -> logits float32 [n, K]. They are halved until the longer side is at most 16."""

    n_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, training: bool = False) -> jax.Array:
        dtype = jnp.float32 if _on_cpu() else jnp.bfloat16

        def active(x):
            return nn.relu(nn.BatchNorm(not training, momentum=0.9, dtype=dtype)(x))

        x = active(Conv(_WIDTHS[0])((images.astype(jnp.float32) / 127.5 - 1.0).astype(dtype)))
        while max(x.shape[1:3]) > _LARGEST:
            x = _halved(x)
        for stage, width in enumerate(_WIDTHS):
            x = _halved(x) if stage else x
            for _ in range(_BLOCKS):
                before = active(x)
                if x.shape[-1] != width:
                    x = nn.Dense(width, use_bias=False, dtype=dtype)(before)
                x = x + Conv(width)(active(Conv(width)(before)))
        x = active(x).astype(jnp.float32)
        return nn.Dense(self.n_classes, name="last")(x.mean((1, 2)))


def _on_cpu():
    return jax.default_backend() == "cpu"


def _halved(x):
    """2 x 2 maxima of [n, H, W, C], sizes rounded up.

    By pairs: XLA's windowed maximum is slow on a CPU, and the gradient of a maximum over an axis divides by the number
    of entries that equal it, which is 0 where one of the two is rounded and the other is not.
    """
    h, w = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    x = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def train_all(
    images: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    seeds: Iterable[int],
    steps: int = STEPS,
) -> list[Any]:
    """Variables for `logits` of a network for each seed, trained in `steps` batches of 128 of what classifier.train_all
    takes."""
    shape, seeds = tuple(images.shape[1:]), tuple(seeds)
    plans = [_plan(len(images), shape, seed, steps) for seed in seeds]
    states = [_begin(shape, n_classes, jax.random.key(seed)) for seed in seeds]
    data = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    if _on_cpu():
        trained = []
        for state, plan in zip(states, plans, strict=True):
            for batch in zip(*plan, strict=True):
                state = _step(n_classes, steps, data, state, batch)
            trained.append(state[0])
        return trained
    state = jax.tree.map(lambda *each: jnp.stack(each), *states)
    batches = tuple(np.stack(part) for part in zip(*plans, strict=True))
    variables = _side_by_side(n_classes, steps, data, state, batches)
    return [jax.tree.map(lambda x, i=i: x[i], variables) for i in range(len(seeds))]


def logits(variables: Any, images: np.ndarray) -> np.ndarray:
    """float32 [n, K] of uint8 images [n, H, W, C]."""
    return each_alone(functools.partial(_apply, variables), images, _CHUNK)


@jax.jit
def _apply(variables, images):
    return Net(variables["params"]["last"]["bias"].size).apply(variables, images)


def _plan(n, shape, seed, steps):
    """Rows int32 [steps, B], epochs in random order, and shifts int32 [steps, B, 2] of 0..2 most pixels."""
    rng, wanted = np.random.default_rng(seed), steps * BATCH
    rows = np.concatenate([rng.permutation(n) for _ in range(-(-wanted // n))])[:wanted]
    shifts = rng.integers(0, 2 * _most(shape) + 1, (steps, BATCH, 2))
    return rows.reshape(steps, BATCH).astype(np.int32), shifts.astype(np.int32)


def _most(shape):
    """Pixels that an image is shifted by each way, at most (side 8: 0, 28: 2, 64: 4)."""
    return min(shape[:2]) // 14


def _optimiser(steps):
    rate = optax.cosine_onecycle_schedule(steps, _RATE, pct_start=0.2)
    kernels = functools.partial(jax.tree.map, lambda x: x.ndim > 1)
    decay = optax.add_decayed_weights(_DECAY, mask=kernels)
    # Images that are all alike have variance 0, which batch statistics divide by.
    return optax.chain(
        optax.clip_by_global_norm(_LONGEST),
        decay,
        optax.sgd(rate, momentum=_MOMENTUM, nesterov=True),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _begin(shape, n_classes, key):
    """(variables, state of the optimiser)."""
    variables = Net(n_classes).init(key, jnp.zeros((1, *shape), jnp.uint8))
    return variables, _optimiser(2).init(variables["params"])


def _update(n_classes, steps, data, state, batch):
    """(variables, state of the optimiser) after one step on a batch (rows [B], shifts [B, 2]) of data."""
    images, labels = data
    variables, optimiser = state
    rows, shifts = batch
    most = _most(images.shape[1:])
    edges = ((0, 0), (most, most), (most, most), (0, 0))
    padded = jnp.pad(images[rows], edges, mode="edge")

    def moved(image, shift):
        return jax.lax.dynamic_slice(image, (*shift, 0), images.shape[1:])

    shown = jax.vmap(moved)(padded, shifts)
    wanted = optax.smooth_labels(jax.nn.one_hot(labels[rows], n_classes), _SMOOTHING)

    def loss(params):
        guesses, changed = Net(n_classes).apply(
            variables | {"params": params}, shown, training=True, mutable=["batch_stats"]
        )
        return optax.softmax_cross_entropy(guesses, wanted).mean(), changed

    gradient, changed = jax.grad(loss, has_aux=True)(variables["params"])
    updates, optimiser = _optimiser(steps).update(gradient, optimiser, variables["params"])
    params = optax.apply_updates(variables["params"], updates)
    return {"params": params, **changed}, optimiser


_step = jax.jit(_update, static_argnums=(0, 1), donate_argnums=3)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _side_by_side(n_classes, steps, data, states, batches):
    """The variables of all trainings (a leading axis of seeds) after all of their batches."""

    def whole(state, batches):
        def step(state, batch):
            return _update(n_classes, steps, data, state, batch), None

        return jax.lax.scan(step, state, batches)[0]

    return jax.vmap(whole)(states, batches)[0]
