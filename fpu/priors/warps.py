"""Random warps of small pictures of strokes, all in jax: affine, elastic, thickness, then the data's frame.

A picture [B, B] is drawn on a canvas of 32 x 32 with a random affine map and a random elastic field, its strokes are
made thinner or thicker, and the result is framed as the data are. Two designs of frame:

    28   MNIST's: the longer side of the bounding box is 20 pixels, the centre of mass lies in the middle (to a pixel)
    8    scikit-learn's digits': a binary picture of 32 rows, counted in blocks of 4 x 4
         (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998)

Functions are of ONE picture; `_all` maps them over many.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp.rows import each_alone

SIDES = (8, 28)  # of the two designs
# Pixels: the canvas, and the longer side of a picture drawn there before it is warped.
_CANVAS, _BOX = 32, 20
_KNOTS = 5  # of the elastic field, each way
_NORMAL = 6 + 2 * _KNOTS**2  # normal numbers that a warp takes
_CHUNK = 1000  # pictures in one call
_INK = 0.2  # above this a pixel belongs to the bounding box
_BINARY = 0.4  # above this a pixel of a binary picture is set
# MNIST's pictures were black and white before they were scaled, so that an edge is a pixel wide (Y. LeCun, C. Cortes,
# C. Burges, The MNIST database of handwritten digits). A threshold and two resamplings make it wider here: what is
# below the first share of the largest value is paper, above the second ink.
_EDGE = 0.1, 0.85
_WIDE_EDGE = 0.2, 0.7  # the same, of a picture of another side that was resampled


class Strength(NamedTuple):
    """Standard deviations of a warp."""

    rotation: float  # radians
    shear: float  # columns for each row
    stretch: float  # of the logarithm of each side
    elastic: float  # pixels of the canvas, at each knot
    lean: float  # the mean shear; writing leans to the right
    thin: tuple[float, float]  # the range of the threshold: lower is thicker
    soft: tuple[float, float]  # the range of the width of the threshold's slope


LETTER = Strength(0.16, 0.25, 0.15, 1.4, 0.1, (0.12, 0.55), (0.06, 0.2))
CLOSE = Strength(0.1, 0.14, 0.1, 0.9, 0.0, (0.35, 0.65), (0.08, 0.2))


def design(shape: Sequence[int]) -> int:
    """The design (a side of SIDES) that serves images of this shape (H, W, ...): 8 below 9 x 9 pixels, else 28.

    Measured on MNIST resampled to 12 x 12, by the nearest noised class mean (n = 1,000, eps = 1): 92 % by the design of
    28, 85 % by that of 8, whose frame has no margin.
    """
    return SIDES[0] if shape[0] * shape[1] < 81 else SIDES[1]


def letters(
    rng: np.random.Generator, pictures: np.ndarray, which: np.ndarray, side: int
) -> np.ndarray:
    """uint8 [n, side, side, 1]: pictures[which], each warped on its own and framed by the design of this side.

    Args:
      pictures: float32 [m, B, B] in [0, 1], `blurred`; the longer side of each (B - 8) pixels, in the middle.
      which: ints [n].
      side: 8 or 28.
    """
    density = (pictures.shape[1] - 8) / _BOX
    return _all(rng, pictures, which, density, LETTER, side, False)


def vary(rng: np.random.Generator, images: np.ndarray, side: int) -> np.ndarray:
    """uint8 [n, side, side, 1]: framed images uint8 [n, side, side, 1], each warped a little and framed again."""
    pictures = images[..., 0].astype(np.float32) / 255.0
    density, strength = 1.0, CLOSE
    if side == SIDES[0]:  # back to the 32 x 32 picture whose blocks were counted
        pictures = np.clip(_resampled(pictures, (_CANVAS, _CANVAS)), 0, 1)
        # The threshold that leaves as much ink as there was: resampling widens strokes.
        density, strength = _CANVAS / _BOX, CLOSE._replace(thin=(0.45, 0.7))
    pictures = np.pad(blurred(pictures), ((0, 0), (1, 1), (1, 1)))
    return _all(rng, pictures, np.arange(len(images)), density, strength, side, True)


def blurred(pictures: np.ndarray) -> np.ndarray:
    """[n, B, B] by 1, 2, 1 each way: steps of two pixels then miss no stroke, and strokes have flanks to threshold."""
    for axis in (1, 2):
        width = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        edge = np.moveaxis(np.pad(pictures, width), axis, 0)
        pictures = np.moveaxis((edge[:-2] + 2 * edge[1:-1] + edge[2:]) / 4, 0, axis)
    return np.ascontiguousarray(pictures)


def resize(images: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """uint8 [n, H', W', 1] of uint8 [n, H, W, 1]: cubic, smoothed before it shrinks."""
    if images.shape[1:3] == tuple(shape):
        return images
    chunks = [images[i : i + _CHUNK, ..., 0] for i in range(0, len(images), _CHUNK)]
    parts = [_resampled(chunk.astype(np.float32), shape) for chunk in chunks]
    return np.round(np.clip(np.concatenate(parts), 0, 255)).astype(np.uint8)[..., None]


def _resampled(pictures, shape):
    """float32 [n, H', W'] of [n, H, W]; cubic interpolation is separable: a matrix for each axis."""
    rows, columns = (_weights(old, new) for old, new in zip(pictures.shape[1:], shape, strict=True))
    return rows @ pictures @ columns.T


@functools.lru_cache(maxsize=16)
def _weights(old: int, new: int) -> np.ndarray:
    with jax.ensure_compile_time_eval():  # also where a program is being traced
        return np.asarray(jax.image.resize(jnp.eye(old), (new, old), "cubic"))


def _all(rng, pictures, which, density, strength, side, own_width):
    """`_one` of each of pictures[which], in chunks of one size: one program, whatever their number."""
    n = len(which)
    normal = rng.standard_normal((n, _NORMAL), np.float32)
    uniform = rng.random((n, 2), np.float32)

    def some(rows):
        given = normal[rows], uniform[rows], pictures[which[rows]]
        return np.asarray(_chunk(*given, density, strength, side, own_width))

    return each_alone(some, np.arange(n), _CHUNK)[..., None]


@functools.partial(jax.jit, static_argnums=(3, 4, 5, 6))
def _chunk(normal, uniform, pictures, density, strength, side, own_width):
    one = jax.vmap(_one, in_axes=(0, 0, 0, None, None, None, None))
    made = one(normal, uniform, pictures, density, strength, side, own_width)
    return jnp.round(255.0 * made).astype(jnp.uint8)


def _one(normal, uniform, picture, density, strength, side, own_width):
    """[side, side] in [0, 1] of a picture [B, B] with `density` pixels for each pixel of the canvas."""
    where = _coordinates(normal, strength) * density + (picture.shape[0] - 1) / 2
    canvas = _thickness(uniform, _looked_up(picture, where), strength)
    return _frame_28(canvas) if side == SIDES[1] else _frame_8(normal[4:6], canvas, own_width)


def _coordinates(normal, strength):
    """[2, 32, 32]: where each pixel of the canvas looks, in pixels from the middle; rows, then columns."""
    turn = strength.rotation * normal[0]
    shear = strength.lean + strength.shear * normal[1]
    narrow = jnp.exp(strength.stretch * normal[2:4])
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    # rotation @ [[narrow, 0], [shear, narrow]] @ (row, column)
    axis = jnp.arange(_CANVAS) - (_CANVAS - 1) / 2
    row, column = narrow[0] * axis[:, None], shear * axis[:, None] + narrow[1] * axis[None]
    affine = jnp.stack([cos * row - sin * column, sin * row + cos * column])
    knots = strength.elastic * normal[_NORMAL - 2 * _KNOTS**2 :].reshape(2, _KNOTS, _KNOTS)
    smooth = jnp.asarray(_weights(_KNOTS, _CANVAS))
    return affine + smooth @ knots @ smooth.T


def _looked_up(picture, where):
    """[32, 32] of a picture at [2, 32, 32], bilinear; beyond its edge, which is empty, the edge.

    jax.scipy.ndimage.map_coordinates does the same in twice the time.
    """
    size = picture.shape[0]
    where = jnp.clip(where, 0.0, size - 1.001)
    corner = jnp.floor(where).astype(jnp.int32)
    down, right = where - corner
    first = corner[0] * size + corner[1]
    at = [jnp.take(picture.reshape(-1), first + i, mode="clip") for i in (0, 1, size, size + 1)]
    upper, lower = at[0] + right * (at[1] - at[0]), at[2] + right * (at[3] - at[2])
    return upper + down * (lower - upper)


def _thickness(uniform, canvas, strength):
    """A soft threshold at a random height: the strokes' blurred flanks become ink or paper."""
    thin, soft = strength.thin, strength.soft
    at = thin[0] + (thin[1] - thin[0]) * uniform[0]
    slope = soft[0] + (soft[1] - soft[0]) * uniform[1]
    canvas = canvas / jnp.maximum(jnp.max(canvas), 1e-3)
    ink = jax.nn.sigmoid((canvas - at) / slope) - jax.nn.sigmoid(-at / slope)
    return jnp.clip(ink / jnp.maximum(jnp.max(ink), 1e-3), 0.0, 1.0)


def _box(canvas, axis):
    """First row (or column) with ink, and how many there are up to the last."""
    ink = jnp.max(canvas, axis=1 - axis) > _INK
    first = jnp.argmax(ink)
    return first, jnp.maximum(len(ink) - jnp.argmax(ink[::-1]) - first, 1)


def _tent(start, step, side):
    """[side, 32] weights: pixel i of the result looks at start + (i + 1/2) step, over a width of a step or more."""
    centre = start + (jnp.arange(side) + 0.5) * step
    distance = jnp.abs(centre[:, None] - (jnp.arange(_CANVAS) + 0.5)[None])
    weight = jnp.maximum(0.0, 1.0 - distance / jnp.maximum(step, 1.0))
    # The sum is about max(step, 1); beyond the canvas, where there is nothing, it is 0.
    return weight / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 0.5)


def _frame_28(canvas):
    """MNIST's frame: the longer side of the box to 20 pixels, the centre of mass to the middle by whole pixels."""
    (top, height), (left, width) = _box(canvas, 0), _box(canvas, 1)
    step = jnp.maximum(height, width) / _BOX

    def weights(axis, first):
        mass = jnp.sum(canvas, axis=1 - axis)
        centre = jnp.sum(mass * (jnp.arange(_CANVAS) + 0.5)) / jnp.maximum(jnp.sum(mass), 1e-3)
        before = jnp.round(SIDES[1] / 2 - (centre - first) / step)  # pixels before the box
        return _tent(first - before * step, step, SIDES[1])

    framed = weights(0, top) @ canvas @ weights(1, left).T
    framed = framed / jnp.maximum(jnp.max(framed), 1e-3)
    return jnp.clip((framed - _EDGE[0]) / (_EDGE[1] - _EDGE[0]), 0.0, 1.0)


def with_edges(images: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, 1]: pictures of strokes that were resampled, with edges about as narrow as those of design 28."""
    paper, ink = _WIDE_EDGE
    share = np.clip((images / 255.0 - paper) / (ink - paper), 0.0, 1.0)
    return np.round(255.0 * share).astype(np.uint8)


def _frame_8(normal, canvas, own_width):
    """The digits' frame: the box to 32 rows and a random width, made binary, counted in blocks of 4 x 4.

    Widths are 32 N(.72, .08) columns; narrow pictures (l, I) stay narrow. With `own_width` the picture keeps its own.
    """
    (top, height), (left, width) = _box(canvas, 0), _box(canvas, 1)
    ratio = width / height
    usual = jnp.where(ratio > 0.35, 0.72 + 0.08 * normal[0], 1.3 * ratio)
    wide = jnp.clip(jnp.round(_CANVAS * (ratio if own_width else usual)), 4, 30)
    before = (_CANVAS - wide) / 2 + normal[1]
    before = jnp.clip(jnp.round(before), 0, _CANVAS - wide)
    rows = _tent(top, height / _CANVAS, _CANVAS)
    columns = _tent(left - before * width / wide, width / wide, _CANVAS)
    binary = (rows @ canvas @ columns.T > _BINARY).astype(jnp.float32)
    return jnp.mean(binary.reshape(8, 4, 8, 4), axis=(1, 3))
