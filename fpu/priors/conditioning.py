"""What a model is told of an image beside its class: the image's code in the space of a prior.

A class alone says little of an image, and a small model that knows nothing else smooths its draws and mixes them up.
Its draws have codes. So a model is conditioned on (class, code), as in representation-conditioned generation
(arXiv:2312.03701): it learns to make an image from its code, and makes new ones from the codes of its draws. What this
gives on validation parts: README.md.

After training on draws each grey level of the model's images becomes the level of the same rank among the pixels of the
draws (histogram specification, R. C. Gonzalez and R. E. Woods, Digital Image Processing, section 3.3): a smooth model
has wide grey edges where its draws have narrow ones.

**Guarantees.** Drawing is post-processing: codes are those of draws from a release, tones are of draws and of a model.
The code of a member is used by the loss of that member alone, and does not depend on others, not even by rounding
(dp.rows).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp.rows import each_alone
from fpu.priors import Prior

LEVELS = 256  # grey levels of a pixel
CODES, TONES = "codes", "tones"  # of a model's parameters, beside 'private' and 'public'


def fits(prior: Prior | None) -> bool:
    """Whether models are conditioned on codes, a public rule: where a space decodes, so that a code says what an image
    looks like. A GAN that was told codes of a spectrum collapsed (README.md).
    """
    return prior is not None and prior.space.decode is not None


def codes(prior: Prior, images: Any) -> np.ndarray:
    """float32 [n, d] of uint8 images [n, H, W, C]: codes, centred and scaled by those of the prior's pool."""
    centre, scale = prior.codes.mean(0), prior.codes.std() + 1e-6
    found = each_alone(prior.space.encode, np.asarray(images))
    return ((found - centre) / scale).astype(np.float32)


def sample(
    params: Mapping[str, Any], n_classes: int, draw: Callable, key: jax.Array, labels: Any
) -> Any:
    """float32 [n, H, W, C] in [0, 1], an image of the model for each label.

    Args:
      params: CODES [N, d] of draws, of which row i is of class i % n_classes; and TONES, where grey levels are mapped.
      draw: (key, labels [n], codes [n, d]) -> images of the model.
      key: typed key.
      labels: ints [n] in 0..n_classes-1.

    Where an image is not finite, images are returned as the model gave them: the caller tells of it.
    """
    known, labels = params[CODES], jnp.asarray(labels)
    k_rows, k_draw = jax.random.split(key)
    turns = jax.random.randint(k_rows, labels.shape, 0, len(known) // n_classes)
    images = draw(k_draw, labels, known[labels + n_classes * turns])
    if TONES not in params or not np.isfinite(images := np.asarray(images)).all():
        return images
    return np.asarray(params[TONES])[np.round(255.0 * images).astype(np.uint8)]


def histogram(images: Any) -> np.ndarray:
    """How many pixels of uint8 images have each grey level, ints [LEVELS]; channels alike."""
    return np.bincount(np.asarray(images).ravel(), minlength=LEVELS)


def tones(model: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """float32 [LEVELS] in [0, 1], rising: what each grey level of a model's images becomes.

    Args: histograms of the model's images and of the draws that taught it.

    Level v becomes the lowest level of the draws up to which at least as large a share of their pixels lies as of the
    model's below v, with half of those at v: F_drawn^-1((F(v - 1) + F(v)) / 2). None becomes a level that is darker or
    lighter than all of the draws.
    """
    below = (np.cumsum(model) - model / 2) / model.sum()
    levels = np.searchsorted(np.cumsum(drawn) / drawn.sum(), below)
    levels = np.maximum(levels, np.flatnonzero(drawn)[0])
    return (np.minimum(levels, LEVELS - 1) / (LEVELS - 1)).astype(np.float32)


def check(params: Mapping[str, Any], spec: Any) -> None:
    """ValueError for parameters from which `sample` cannot draw images of a models.Spec."""
    known, levels = params.get(CODES), params.get(TONES)
    if (known is None) != (spec.code == 0):
        raise ValueError("codes and a model that is conditioned on them belong together")
    if known is None:
        if levels is not None:
            raise ValueError("it has tones and no codes")
        return
    if known.ndim != 2 or known.shape[1] != spec.code or len(known) < spec.n_classes:
        raise ValueError(f"its codes are {known.shape}")
    levels = jnp.zeros(LEVELS) if levels is None else levels
    if levels.shape != (LEVELS,) or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"its tones are not {LEVELS} numbers in [0, 1]")
