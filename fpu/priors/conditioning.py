"""What a model is told of an image beside its class: a code that says what the image looks like.

A class alone says little of an image, and a small model that knows nothing else smooths its draws and mixes them up. So
a model is conditioned on (class, code), as in representation-conditioned generation (arXiv:2312.03701): it learns to
make an image from its code, and makes new ones from the codes of its draws. The code is that of the prior's space where
the space decodes. Elsewhere, as in a space of power spectra, it would not say what the image looks like: there the code
is how much of each principal component of the prior's images it has. What this gives: README.md.

Where the space decodes, each grey level of the model's images then becomes the level of the same rank among the pixels
of the draws (histogram specification, R. C. Gonzalez and R. E. Woods, Digital Image Processing, section 3.3): a smooth
model has wide grey edges where strokes have narrow ones.

Where it does not decode, the draws are the clearest of their class. From some of their codes a model makes images that
are not: it makes new ones from the others alone (`clear`), where the whole pool can be like the members.

**Guarantees.** Drawing is post-processing: codes are those of draws from a release, tones are of draws and of a model.
In training the code of a member is used by the loss of that member alone, and does not depend on others, not even by
rounding (dp.rows).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import decomposition

from fpu.dp.rows import each_alone
from fpu.models import Spec
from fpu.priors import Prior, draws
from fpu.priors.components import pixels

LEVELS = 256  # grey levels of a pixel
_UNCLEAR = 0.05  # share of draws that count as unclear
SIZE = 48  # principal components in a code, where a space does not decode
_FITTED = 2000  # images of a pool of which they are the principal components
_LEAST = 1e-4  # of the first component's variance, by which codes are scaled at least
_FARTHEST = 1e6  # of a number of a code, in standard deviations of the pool
CODES, TONES = "codes", "tones"  # of a model's parameters, beside 'private' and 'public'


def size(prior: Prior) -> int:
    """How many numbers a code has."""
    if prior.space.decode is not None:
        return prior.codes.shape[1]
    count, *shape = prior.images[:_FITTED].shape
    return min(SIZE, count, math.prod(shape))


def codes(prior: Prior, images: Any) -> np.ndarray:
    """float32 [n, d] of uint8 images [n, H, W, C], centred and scaled by codes of the prior's pool.

    A code that is not finite, or as far away as no image is, counts as 0.
    """
    encode, of_pool = _map(prior)
    found = np.asarray(each_alone(encode, np.asarray(images)), np.float64)
    found = (found - of_pool.mean(0)) / (of_pool.std() + 1e-6)
    sound = (np.abs(found) < _FARTHEST).all(1)
    return np.where(sound[:, None], found, 0.0).astype(np.float32)


def _map(prior: Prior) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """(images -> codes, codes of the pool), public."""
    if prior.space.decode is not None:
        return prior.space.encode, prior.codes
    # At random: a folder's images are sorted by class.
    rows = np.random.default_rng(0).permutation(len(prior.images))[:_FITTED]
    some = pixels(prior.images[rows])
    pca = decomposition.PCA(size(prior), svd_solver="randomized", random_state=0).fit(some)
    variance = pca.explained_variance_
    scale = np.sqrt(np.maximum(variance, _LEAST * variance[0]) + 1e-12)

    def encode(images: np.ndarray) -> np.ndarray:
        return pca.transform(pixels(images)) / scale

    return encode, encode(some)


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


def clear(
    prior: Prior, release: Mapping[str, Any], drawn: Any, made: np.ndarray, n_classes: int
) -> np.ndarray:
    """float32 [N, d]: the codes of draws, of which those are left from which a model makes clear images of their class.

    Args:
      release: of release.fit, in the prior's space.
      drawn: the draws, with images uint8 [N, H, W, C] and codes [N, d]. Row i is of class i % n_classes, as in the
        result.
      made: uint8 [N, H, W, C], what the model makes of each code.

    Clear is what has as much draws.clarity as all but _UNCLEAR of the draws of its class. At least half are left. Draws
    repeat images: equal codes count alike, by their mean. The codes that are left are repeated in turn.
    """
    codes = np.asarray(drawn.codes)
    rows = np.arange(len(codes))
    labels, params = rows % n_classes, draws.on_host(release)
    own, found = (
        draws.clarity(params, np.asarray(prior.space.encode(np.asarray(images))))[0][rows, labels]
        for images in (drawn.images, made)
    )
    _, same = np.unique(codes, axis=0, return_inverse=True)
    mean = (np.bincount(same, found) / np.bincount(same))[same]
    left = np.zeros_like(codes)
    for k in range(n_classes):
        of_class = np.flatnonzero(labels == k)
        order = of_class[np.argsort(-mean[of_class], kind="stable")]
        enough = np.count_nonzero(mean[of_class] >= np.quantile(own[of_class], _UNCLEAR))
        best = order[: max(enough, -(-len(order) // 2))]
        left[of_class] = codes[np.resize(best, len(order))]
    return left


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


def check(params: Mapping[str, Any], spec: Spec) -> None:
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
