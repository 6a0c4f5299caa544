"""Sections through bodies, echoes, cells and plain textures, drawn by code.

What is known of such images, from textbooks: a computed tomogram shows grey organs with smooth outlines, white bone
and black air within an oval body, of which an image may be a small part; an echogram has bands of speckle, with dark
masses that shade or brighten what lies below; cells are round and lie on an even ground. Four kinds: sections, echoes,
cells, textures.
"""

import numpy as np

from fpu.priors import shapes
from fpu.priors.shapes import step

KINDS = 4
_ORGANS, _CELLS = 7, 9  # ovals drawn over each other


def draw(
    rng: np.random.Generator, n: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n, H, W], about 0 to 1; int32 [n], the kind in 0..KINDS-1, in ascending order)."""
    y, x = shapes.grid(height, width)
    counts = np.bincount(rng.integers(0, KINDS, n), minlength=KINDS)
    draws = (_section, _echo, _cells, _texture)
    parts = [one(rng, m, y, x) for one, m in zip(draws, counts, strict=True)]
    image = shapes.blurred(np.concatenate(parts), shapes.uniform(rng, n)(0.0, 0.12))
    image += shapes.uniform(rng, n)(0.0, 0.04) * rng.standard_normal(image.shape, np.float32)
    return image, np.repeat(np.arange(KINDS, dtype=np.int32), counts)


def _section(rng, n, y, x):
    """An oval body with organs, bone and air; zoomed in by up to four."""
    between = shapes.uniform(rng, n)
    zoom = np.exp(between(-0.3, 1.4))
    y = (y - between(0.2, 0.8)) / zoom + between(0.35, 0.65)
    x = (x - between(0.2, 0.8)) / zoom + between(0.35, 0.65)
    soft = 0.012
    body = shapes.ellipse(y, x, (0.5, 0.5), (between(0.3, 0.45), between(0.38, 0.5)))
    wall = between(0.8, 0.95)
    fat, muscle = between(0.15, 0.35), between(0.4, 0.6)
    image = between(0.0, 0.05) + fat * step(1.0 - body, soft)
    image = image + (muscle - fat) * step(wall - body, soft)
    image += between(0.0, 0.1) * shapes.field(rng, n, (y.shape[1], x.shape[2]), 8)
    for _ in range(_ORGANS):
        at = between(0.2, 0.8), between(0.2, 0.8)
        radii = between(0.03, 0.17), between(0.03, 0.17)
        inside = step(1.0 - shapes.ellipse(y, x, at, radii, between(0.0, 3.1)), 0.08)
        shade = np.where(between(0.0, 1.0) < 0.2, between(0.0, 0.15), between(0.4, 0.8))
        image += step(wall - body, soft) * inside * (shade - image)
    spine = shapes.ellipse(
        y, x, (between(0.68, 0.8), 0.5), (between(0.04, 0.08), between(0.05, 0.09))
    )
    image += step(1.0 - spine, 0.1) * (between(0.7, 1.0) - image)
    rim = np.abs(body - 0.5 * (1.0 + wall)) / between(0.015, 0.04) + between(0.0, 3.0)
    spotted = np.cos(
        np.arctan2(y - 0.5, x - 0.5) * np.round(between(8.0, 14.0)) + between(0.0, 6.0)
    )
    image += step(1.0 - rim, 0.15) * step(spotted, 0.2) * between(0.0, 0.5)
    return (image - 0.4) * between(0.7, 1.5) + between(0.25, 0.55)


def _echo(rng, n, y, x):
    """Bands of speckle, and in most a dark oval with a shadow or a gleam below it."""
    between, shape = shapes.uniform(rng, n), (y.shape[1], x.shape[2])
    bands = shapes.curve(rng, y.reshape(1, 1, -1), n, 8).reshape(n, -1, 1)
    image = between(0.25, 0.55) + between(0.03, 0.15) * bands
    image = image + between(0.0, 0.12) * shapes.field(rng, n, shape, 6)
    at = between(0.25, 0.7), between(0.25, 0.75)
    rough = between(0.0, 0.35) * shapes.field(rng, n, shape, 7)
    mass = shapes.ellipse(y, x, at, (between(0.07, 0.25), between(0.09, 0.32)), between(-0.5, 0.5))
    inside = step(1.0 + rough - mass, between(0.05, 0.3)) * (between(0.0, 1.0) < 0.8)
    image *= 1.0 - between(0.4, 0.95) * inside
    below = step(y - at[0], 0.05) * step(0.15 - np.abs(x - at[1]), 0.04)
    image *= 1.0 + between(-0.5, 0.4) * below * (1.0 - inside)
    image *= 1.0 + between(0.05, 0.35) * shapes.blurred(
        rng.standard_normal(image.shape, np.float32), 0.1
    )
    return image * (1.1 - between(0.0, 0.6) * y)


def _cells(rng, n, y, x):
    """Round bodies with a core, bright on dark or dark on bright, one large or several small."""
    between, shape = shapes.uniform(rng, n), (y.shape[1], x.shape[2])
    image = np.zeros((n, *shape), np.float32)
    size, many = np.exp(between(-2.9, -1.0)), between(0.05, 1.0)
    for number in range(_CELLS):
        at = between(0.0, 1.0), between(0.0, 1.0)
        if not number:
            at = between(0.4, 0.6), between(0.4, 0.6)
        own = size * between(0.7, 1.3)
        far = shapes.ellipse(y, x, at, (own, own * between(0.7, 1.4)), between(0.0, 3.1))
        far = far + between(0.0, 0.15) * shapes.field(rng, n, shape, 6)
        cell = between(0.4, 0.8) * step(1.0 - far, between(0.05, 0.3))
        cell = cell + between(0.0, 0.5) * step(between(0.2, 0.7) - far, 0.1)
        image = np.maximum(image, cell * (between(0.0, 1.0) < (many if number else 1.0)))
    image = image * between(0.4, 1.0) + between(0.0, 0.15) * shapes.field(rng, n, shape, 5)
    return np.where(between(0.0, 1.0) < 0.7, between(0.0, 0.15) + image, between(0.7, 1.0) - image)


def _texture(rng, n, y, x):
    """Fields of three scales and a wave, of any brightness and contrast."""
    between, shape = shapes.uniform(rng, n), (y.shape[1], x.shape[2])
    image = between(-0.3, 0.3) * (y - 0.5) + between(-0.3, 0.3) * (x - 0.5)
    for cells in (3, 7, 14):
        image = image + np.square(between(0.0, 0.5)) * shapes.field(rng, n, shape, cells)
    angle, waves = between(0.0, 3.1), between(1.0, 8.0)
    along = np.cos(angle) * y + np.sin(angle) * x
    image += np.square(between(0.0, 0.5)) * np.cos(2 * np.pi * waves * along + between(0.0, 6.0))
    return between(0.15, 0.85) + image
