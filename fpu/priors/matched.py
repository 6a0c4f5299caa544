"""A model's images, matched to codes of the release that taught it: of several drawn, those that fit are kept.

A model smooths its draws and mixes classes up. The release itself says what images of a class are like. So for each
image that is wanted FACTOR are drawn from the model and encoded, as many codes as are wanted are drawn from the
release, and within each class each code is given another image, such that

    sum |encode(x_i) - z_i|^2

is smallest: the assignment problem. What is kept is spread over the class as the release says, and what looks like
another class is left.

Before that each grey level of a model's image becomes the level of the same rank among the pixels of the draws
(histogram specification, R. C. Gonzalez and R. E. Woods, Digital Image Processing, section 3.3): a smooth model has
wide grey edges where its draws have narrow ones. What both steps give on validation parts: README.md.

**Guarantees.** Post-processing: no argument is a member. It sees a model, a release, its draws and a public prior.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from fpu.priors import Prior, draws

FACTOR = 3  # images drawn for each that is kept: a public rule, which bounds the time
LEVELS = 256  # grey levels of a pixel


def fits(prior: Prior | None) -> bool:
    """Whether a model's images are matched, a public rule: where draws of the prior follow codes of the release."""
    return prior is not None and draws.default(prior) != "margin"


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


def sample(prior: Prior, release: dict[str, Any], draw: Callable, key: jax.Array, labels) -> Any:
    """float32 [n, H, W, C] in [0, 1], an image of the model for each label.

    Args:
      release: parameters of release.fit; and 'tones', where the model's grey levels are mapped.
      draw: (key, labels [n]) -> images of the model; called FACTOR times with these labels.
      key: typed key.
      labels: ints [n] in 0..K-1.

    Where an image is not finite, what `draw` gave first is returned as it is: the caller tells of it.
    """
    labels = np.asarray(labels)
    release = draws.on_host(release)
    k_codes, *keys = jax.random.split(key, 1 + FACTOR)
    parts = [np.asarray(draw(each, jnp.asarray(labels))) for each in keys]
    if not all(np.isfinite(part).all() for part in parts):
        return next(part for part in parts if not np.isfinite(part).all())
    if "tones" in release:
        parts = [release["tones"][_levels(part)] for part in parts]
    images = np.stack(parts)
    found = np.stack([prior.space.encode(_levels(part)) for part in parts])
    wanted = draws.codes(release, k_codes, labels)
    kept = np.zeros((len(labels), *images.shape[2:]), np.float32)
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        chosen = _assigned(wanted[rows], found[:, rows].reshape(-1, found.shape[2]))
        kept[rows] = images[:, rows].reshape(-1, *images.shape[2:])[chosen]
    return kept


def _levels(images):
    """Images in [0, 1] as uint8."""
    return np.round(255.0 * images).astype(np.uint8)


def _assigned(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """int [n]: another row of `found` [m, d], m >= n, for each row of `wanted` [n, d], nearest in all."""
    wanted, found = (np.asarray(x, np.float64) for x in (wanted, found))
    distances = np.square(wanted).sum(1)[:, None] + np.square(found).sum(1)[None]
    distances -= 2.0 * wanted @ found.T
    return optimize.linear_sum_assignment(distances)[1]
