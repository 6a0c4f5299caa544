"""Drawing images from a generator and scoring images by a model, in chunks, on all devices."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu import InputError, distributed, models
from fpu.pipeline import progress

CHUNK = 250  # images sampled or scored by a network at once
MANY = 1000  # images of a prior drawn at once, on the host


class Diverged(InputError):
    """Training ended with parameters, or makes images, that are not finite."""


def draw(
    sample: Callable[..., jax.Array], key: jax.Array, labels: Any, size: int, *codes: np.ndarray
) -> np.ndarray:
    """Synthetic images, uint8 [n, H, W, C], drawn `size` at a time from sample(key, labels), or (key, labels, codes).

    Raises Diverged where a pixel is not finite.
    """
    images, begun = None, time.monotonic()
    for i, chunk in enumerate(_chunks(size, labels, *codes)):
        part = np.asarray(sample(jax.random.fold_in(key, i), *chunk))[: len(labels) - i * size]
        if not np.isfinite(part).all():
            raise Diverged(
                "training diverged (pixels are not finite): lower --set recipe.learning_rate"
            )
        if images is None:  # bytes, a quarter of the memory of floats
            images, begun = np.empty((len(labels), *part.shape[1:]), np.uint8), time.monotonic()
        images[i * size : (i + 1) * size] = np.round(part * 255.0)
        if i == 1:  # the first one was compiled
            left = (time.monotonic() - begun) * (len(labels) / size - 2)
            if left > 60:
                progress.say(f"drawing {len(labels):,} images: about {left / 60:,.0f} minutes")
    assert images is not None  # there is at least one label
    return images


def sampler(model: models.Model, params: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """(key, labels) -> images of a model, drawn on all devices; (key, labels, codes) where codes condition it."""

    def sample(key, labels, *codes):
        return distributed.map_rows(_sampler(model), (params, key), labels, *codes)

    return sample


def scores(
    model: models.Model,
    params: Any,
    public: jax.Array,
    images: np.ndarray,
    labels: np.ndarray,
    *codes: np.ndarray,
) -> dict[str, np.ndarray]:
    """The model's membership scores {name: float [n]}. Equal images at equal places have equal keys.

    codes: float32 [n, d] of the images, where the model is conditioned on them.
    """
    keys = jax.random.split(jax.random.fold_in(public, 3), len(labels))
    inputs = images, np.asarray(labels, np.int32), jax.random.key_data(keys), *codes
    parts = [
        distributed.map_rows(_scorer(model), (params,), *chunk) for chunk in _chunks(CHUNK, *inputs)
    ]
    return {k: np.concatenate([p[k] for p in parts])[: len(labels)] for k in parts[0]}


# params is an argument of both programs, not a constant: programs are cached outside the run's folder.


@functools.lru_cache(maxsize=8)
def _sampler(model):
    return jax.jit(lambda params, key, labels, codes=(): model.sample(params, key, labels, codes))


@functools.lru_cache(maxsize=8)
def _scorer(model):
    @jax.jit
    def score(params, images, labels, keys, codes=()):
        examples = models.Example(images.astype(jnp.float32) / 255.0, labels, codes)
        keys = jax.random.wrap_key_data(keys)  # they travel as words: the host can slice those
        return jax.vmap(model.scores, (None, 0, 0))(params, examples, keys)

    return score


def _chunks(size: int, *arrays: Any) -> Iterator[tuple[jax.Array, ...]]:
    """Slices of `size` rows, the last one filled up with row 0: every call has the same shapes."""
    count = len(arrays[0])
    for first in range(0, count, size):
        rows = np.arange(first, first + size)
        yield tuple(jnp.asarray(x)[np.where(rows < count, rows, 0)] for x in arrays)
