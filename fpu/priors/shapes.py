"""What the drawn scans are made of: random numbers, curves, fields, soft edges and ellipses, in numpy.

Coordinates are shares of the image: y runs down and x across, both from 0 to 1, whatever its size. Arrays have one
row for each image, so that thousands are drawn at once.
"""

from collections.abc import Callable, Sequence

import numpy as np

from fpu.models import Spec

Uniform = Callable[[float, float], np.ndarray]
# A family of drawn images: draw(rng, n, height, width) -> (float32 [n, H, W], kinds), how many kinds, its share.
Family = tuple[Callable, int, float]
_CHUNK = 1000  # images drawn at once


def mixed(
    rng: np.random.Generator, n: int, spec: Spec, families: Sequence[Family]
) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of families in random order, each of a family by its share.

    Returns: (uint8 [n, H, W, 1], int32 [n]: the kinds of the first family, then those of the next, and so on).
    """
    height, width, _ = spec.shape
    images, classes = np.zeros((n, height, width, 1), np.uint8), np.zeros(n, np.int32)
    for first in range(0, n, _CHUNK):
        count = min(_CHUNK, n - first)
        counts = rng.multinomial(count, [share for _, _, share in families])
        order, before = first + rng.permutation(count), 0
        parts = np.split(order, np.cumsum(counts)[:-1])
        for (draw, kinds, _), part in zip(families, parts, strict=True):
            if len(part):
                drawn, kind = draw(rng, len(part), height, width)
                images[part, ..., 0] = np.round(255 * np.clip(drawn, 0.0, 1.0))
                classes[part] = before + kind
            before += kinds
    return images, classes


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the pixels: y float32 [1, H, 1] and x float32 [1, 1, W]."""
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    return y[None, :, None], x[None, None, :]


def uniform(rng: np.random.Generator, n: int) -> Uniform:
    """A function (low, high) -> float32 [n, 1, 1], one number for each image."""
    return lambda low, high: rng.uniform(low, high, (n, 1, 1)).astype(np.float32)


def step(distance: np.ndarray, softness: float | np.ndarray) -> np.ndarray:
    """The logistic function: 0 far below 0, 1 far above, rising over about 4 times `softness`."""
    return 0.5 * (1.0 + np.tanh(distance * (0.5 / softness)))


def curve(rng: np.random.Generator, x: np.ndarray, n: int, waves: int) -> np.ndarray:
    """Smooth random curves float32 [n, 1, W] of zero mean over x: cosines of 1..waves half turns, with
    normal weights of standard deviation 1 / number."""
    number = np.arange(1, waves + 1, dtype=np.float32)[:, None]
    weights = rng.standard_normal((n, waves), np.float32) / number[:, 0]
    return (weights @ np.cos(np.pi * number * x[0]))[:, None, :]


def field(rng: np.random.Generator, n: int, shape: tuple[int, int], cells: float) -> np.ndarray:
    """Smooth random fields float32 [n, H, W]: normal numbers on about cells x cells knots, linear in between."""
    knots = rng.standard_normal((n, round(cells) + 1, round(cells) + 1), np.float32)
    down, across = (_between(side, round(cells)) for side in shape)
    return down @ knots @ across.T


def _between(side, cells):
    """Weights float32 [side, cells + 1] of linear interpolation at the centres of `side` pixels."""
    at = (np.arange(side) + 0.5) / side * cells
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells + 1))).astype(np.float32)


def ellipse(
    y: np.ndarray,
    x: np.ndarray,
    centre: tuple,
    radii: tuple,
    angle: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Distance from the centre in radii, float32 [n, H, W]: 1 on the ellipse, more outside.

    centre, radii: (down, across), each [n, 1, 1] or a number. angle: radians, from down to across.
    """
    down, across = y - centre[0], x - centre[1]
    cos, sin = np.cos(np.float32(angle)), np.sin(np.float32(angle))
    u, v = cos * down + sin * across, cos * across - sin * down
    return np.sqrt(np.square(u / radii[0]) + np.square(v / radii[1]))


def mirrored(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Images [n, H, W], each left or right with the same chance."""
    turn = rng.random(len(images)) < 0.5
    images[turn] = images[turn][:, :, ::-1]
    return images


def blurred(images: np.ndarray, amount: float | np.ndarray) -> np.ndarray:
    """Images [n, H, W], each pixel mixed with its four neighbours by `amount` (0 to .2 each)."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return images + amount * (around - 4.0 * images)
