"""Layers such as optical coherence tomography shows of a retina, drawn by code.

What is known of such scans, from textbooks: a dark ground; a band of tissue between two bright lines, often with a
pit in the middle; below it a glow that fades, striped by shadows; where the scan was turned upright, white corners.
Four kinds: an even band, a base with small bumps, a base lifted by a lesion, a swollen band with dark cysts.

As a prior of its own it is for such scans alone. All of its images are like the members in kind, and what tells classes
apart is texture, wherever it lies: so no image is left out before the clearest are chosen, and its space has no part
that says where things are.
"""

import numpy as np

from fpu.models import Spec
from fpu.priors import Space, shapes, spectrum
from fpu.priors.shapes import step

VERSION = "1"
KNOWS = (
    "no real image: layers of a retina drawn by code, from what textbooks say of how optical coherence tomography "
    "shows them and of how disease shows in it"
)
KINDS = 4
BRIGHTNESS = False  # it takes 2 to 5 points of AUC from draws (README.md)


def make(rng: np.random.Generator, n: int, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of any side: `shapes.mixed`."""
    return shapes.mixed(rng, n, spec, ((draw, KINDS, 1.0),))


def space(images: np.ndarray, classes: np.ndarray | None, spec: Spec) -> Space:
    """The space of spectrum.py, of power spectra alone."""
    return spectrum.space(images, classes, spec, phase=0.0)


def draw(
    rng: np.random.Generator, n: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n, H, W], about 0 to 1; int32 [n], the kind in 0..KINDS-1)."""
    y, x = shapes.grid(height, width)
    between = shapes.uniform(rng, n)
    kind = rng.integers(0, KINDS, n).astype(np.int32)
    tilt = between(-0.22, 0.22)
    top, bottom, base = _borders(rng, x, kind, tilt)
    image = _tissue(between, y, top, bottom, base, kind)
    image *= 1.0 - _cysts(rng, y, x, top, bottom, kind)
    shadow = shapes.curve(rng, x, n, 20) * between(0.0, 0.3) * step(y - bottom, 0.03)
    image *= np.maximum(1.0 - np.abs(shadow), 0.3)
    image = shapes.blurred(image, between(0.02, 0.1))
    image *= 1.0 + between(0.02, 0.1) * rng.standard_normal(image.shape, np.float32)
    image += between(0.003, 0.02) * rng.standard_normal(image.shape, np.float32)
    image *= between(0.6, 1.25)
    return shapes.mirrored(rng, _corners(rng, y, x, tilt, image)), kind


def _borders(rng, x, kind, tilt):
    """Rows [n, 1, W] of the upper line, of the lower line, and of the base below it."""
    n = len(kind)
    between = shapes.uniform(rng, n)
    bumps, lesion, cysts = ((kind == k)[:, None, None] for k in (1, 2, 3))

    def hill(width):
        return np.exp(-np.square((x - between(0.2, 0.8)) / width))

    middle = between(0.3, 0.65) + tilt * (x - 0.5) + between(-0.15, 0.3) * np.square(x - 0.5)
    middle = middle + 0.01 * shapes.curve(rng, x, n, 6)
    half = between(0.04, 0.1)
    pit = np.where(cysts, 0.0, between(-0.02, 0.07) * hill(between(0.04, 0.14)))
    lift = np.where(lesion, between(0.03, 0.14) * hill(between(0.05, 0.18)), 0.0)
    small = np.where(bumps, between(0.01, 0.035) * np.abs(shapes.curve(rng, x, n, 14)), 0.0)
    swelling = np.where(cysts, between(0.02, 0.18) * hill(between(0.1, 0.3)), 0.0)
    top = middle - half + np.maximum(pit, 0.0) - swelling - between(0.3, 0.9) * lift
    base = middle + half
    return top, base - small - lift, base


def _tissue(between, y, top, bottom, base, kind):
    """Ground, band with its layers, two bright lines, glow below, filling of a lesion: [n, H, W]."""
    soft = 0.02
    inside = step(y - top, soft) * step(bottom - y, soft)
    depth = (y - top) / np.maximum(bottom - top, 0.02)
    waves = np.cos(2 * np.pi * depth * between(1.0, 2.5) + between(0.0, 6.0))
    image = between(0.02, 0.1) + inside * (between(0.2, 0.4) + between(0.0, 0.15) * waves)
    image += between(0.05, 0.3) * np.exp(-np.square((y - top - 0.018) / 0.029))
    image += between(0.2, 0.5) * np.exp(-np.square((y - bottom) / between(0.021, 0.036)))
    below = np.maximum(y - base, 0.0)
    image += step(y - base, soft) * between(0.1, 0.4) * np.exp(-below / between(0.05, 0.3))
    lifted = (kind == 2)[:, None, None] * step(y - bottom, soft) * step(base - y, soft)
    return image + between(0.0, 0.35) * lifted


def _cysts(rng, y, x, top, bottom, kind):
    """Share of light lost [n, H, W]: up to three dark ovals within the band of the last kind."""
    n, here = len(kind), np.arange(len(kind))
    between, lost = shapes.uniform(rng, n), np.zeros((n, y.size, x.size), np.float32)
    rows = np.flatnonzero(kind == 3)
    if not len(rows):
        return lost
    for _ in range(3):
        across = between(0.18, 0.82)
        column = (across[:, 0, 0] * x.size).astype(int)
        upper, lower = top[here, 0, column], bottom[here, 0, column]
        down = upper[:, None, None] + between(0.25, 0.75) * (lower - upper)[:, None, None]
        radius = between(0.025, 0.093)
        far = shapes.ellipse(y, x, (down, across), (radius * between(0.6, 1.3), radius))
        there = between(0.0, 1.0) < 0.7
        lost = np.maximum(lost, there * between(0.5, 0.9) * step(1.0 - far, 0.2))
    return lost * (kind == 3)[:, None, None]


def _corners(rng, y, x, tilt, image):
    """White above or below a slanted line, in half of the images."""
    between = shapes.uniform(rng, len(image))
    slope = 0.5 * tilt + between(-0.15, 0.15)
    edge, side = between(0.0, 0.18) + slope * (x - 0.5), between(0.0, 1.0)
    above, below = step(edge - y, 0.006) * (side < 0.3), step(edge + y - 1.0, 0.006) * (side > 0.7)
    return image + (1.0 - image) * np.maximum(above, below)
