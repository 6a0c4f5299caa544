"""One small convolutional network: the utility classifier, and the frozen network of the features.

It judges generators and is never released, so it is not trained privately. The number of steps is
fixed, and nothing is selected on any data. All trainings on one image shape share one compiled step,
whatever their number of images.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu import distributed
from fpu.dp.rows import each_alone

FEATURES = 64
STEPS = 400  # optimiser steps of a quick training
_BATCH = 64
_CHUNK = 500  # images per call of a trained network
_LEARNING_RATE, _WEIGHT_DECAY = 2e-3, 1e-2


def _halve(x):
    """2 x 2 max pooling of [n, H, W, C], sizes rounded up.

    Written as a maximum over an axis: the gradient of XLA's windowed maximum is slow on a CPU.
    """
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape(n, (h + 1) // 2, 2, (w + 1) // 2, 2, c).max((2, 4))


class Net(nn.Module):
    """Images uint8 [n, H, W, C] -> logits [n, K] and the 64 features before the last layer [n, 64].

    The first convolution brings the longer side to at most 16, two poolings to at most 4.
    """

    n_classes: int

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = images.astype(jnp.float32) / 127.5 - 1.0
        stride = -(-max(images.shape[1:3]) // 16)
        x = nn.relu(nn.Conv(32, (stride + 2, stride + 2), strides=stride)(x))
        x = nn.relu(nn.Conv(64, (3, 3))(_halve(x)))
        features = nn.Dense(FEATURES)(_halve(x).reshape(len(images), -1))
        return nn.Dense(self.n_classes, name="logits")(nn.relu(features)), features


def _optimiser(steps):
    schedule = optax.cosine_decay_schedule(_LEARNING_RATE, steps)
    return optax.adamw(schedule, weight_decay=_WEIGHT_DECAY)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _begin(shape, n_classes, key):
    return Net(n_classes).init(key, jnp.zeros((1, *shape), jnp.uint8))


# One jitted step in a Python loop, not a scan: XLA's convolutions lose a factor of 4 to 6 inside a
# loop on a CPU, and a step of 4 to 10 ms does not feel its dispatch.
def _update(n_classes, steps, state, images, labels):
    def loss(params):
        logits, _ = Net(n_classes).apply(params, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    params, optimiser = state
    updates, optimiser = _optimiser(steps).update(jax.grad(loss)(params), optimiser, params)
    return optax.apply_updates(params, updates), optimiser


_step = jax.jit(_update, static_argnums=(0, 1), donate_argnums=2)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _steps_of_all(n_classes, steps, states, images, labels):
    return jax.vmap(functools.partial(_update, n_classes, steps))(states, images, labels)


@jax.jit
def _apply(params, images):
    return Net(params["params"]["logits"]["bias"].size).apply(params, images)


def initial(shape: Sequence[int], n_classes: int, seed: int) -> Any:
    """Parameters of an untrained network for images of `shape` (H, W, C): random features."""
    return _begin(tuple(shape), n_classes, jax.random.key(seed))


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images moved by up to side // 14 pixels each way (8x8: 0, 28x28: 2), edges repeated."""
    n, h, w, _ = images.shape
    most = min(h, w) // 14
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    down, across = rng.integers(0, 2 * most + 1, (2, n, 1))
    rows, columns = down + np.arange(h), across + np.arange(w)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(
    images: np.ndarray, labels: np.ndarray, n_classes: int, *, seed: int, steps: int = STEPS
) -> Any:
    """`train_all` of one seed."""
    return train_all(images, labels, n_classes, seeds=(seed,), steps=steps)[0]


def train_all(
    images: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    seeds: Iterable[int],
    steps: int = STEPS,
) -> list[Any]:
    """Fit a network for each seed by AdamW on randomly shifted images, in `steps` batches of 64.

    One after the other on a CPU, where vmapped convolutions are slow; elsewhere vmapped, which is equal to f32
    rounding.

    Args:
      images: uint8 [n, H, W, C], n >= 1, H and W in 8..64.
      labels: ints [n] in 0..n_classes-1; a class may be absent.
      seeds: public.

    Returns: parameters for `logits` and `features`. The last few are cached: runs on the same split
    share their feature network and the row 'members'.
    """
    content = images.tobytes() + np.asarray(labels, np.int64).tobytes()
    data, seeds = _Set(hashlib.sha256(content).hexdigest(), images, labels), tuple(seeds)
    if len(seeds) < 2 or jax.default_backend() == "cpu":
        return [_train(data, n_classes, (seed,), steps)[0] for seed in seeds]
    return _train(data, n_classes, seeds, steps)


@dataclasses.dataclass(frozen=True)
class _Set:
    """A training set that compares by its content's digest."""

    digest: str
    images: np.ndarray = dataclasses.field(compare=False)
    labels: np.ndarray = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=6)
def _train(data, n_classes, seeds, steps):
    """Parameters for each of the seeds, trained side by side."""
    begun = [initial(data.images.shape[1:], n_classes, seed) for seed in seeds]
    states = [(params, _optimiser(steps).init(params)) for params in begun]
    batches = zip(*(_batches(data, seed, steps) for seed in seeds), strict=True)
    if len(seeds) == 1:
        (state,) = states
        for (batch,) in batches:
            state = _step(n_classes, steps, state, *batch)
        return [state[0]]
    state = jax.tree.map(lambda *each: jnp.stack(each), *states)
    for each in batches:
        images, labels = (np.stack(part) for part in zip(*each, strict=True))
        state = _steps_of_all(n_classes, steps, state, images, labels)
    return [jax.tree.map(lambda x, i=i: x[i], state[0]) for i in range(len(seeds))]


def _batches(data, seed, steps):
    """(images, labels) of each step: epochs in random order, shifted."""
    rng, n = np.random.default_rng(seed), len(data.images)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-steps * _BATCH // n))])
    for batch in order[: steps * _BATCH].reshape(steps, _BATCH):
        yield shifted(data.images[batch], rng), data.labels[batch]


def _output(params, images, which):
    # On devices of this process alone: another process may have the result cached and not take part.
    local = jax.local_devices()

    def outputs(chunk):
        return distributed.map_rows(_apply, (params,), chunk, devices=local)[which]

    return each_alone(outputs, images, _CHUNK)


def logits(params: Any, images: np.ndarray) -> np.ndarray:
    """float32 [n, K] of uint8 images [n, H, W, C]."""
    return _output(params, images, 0)


def features(params: Any, images: np.ndarray) -> np.ndarray:
    """float32 [n, 64] of uint8 images [n, H, W, C]: the layer before the last."""
    return _output(params, images, 1)
