"""Chests such as X-rays show, drawn by code.

What is known of such images, from textbooks: two dark lungs under the shoulders, striped by ribs, with a light spine
and heart between them (the heart leans to the right of the image), the light domes of the diaphragm below, black
where the beam passed the body. Disease shows as light in the lungs. Four kinds: clear lungs, patches, haze over both
lungs, one part of a lung grown solid. Framing, exposure and contrast vary in all of them.
"""

import numpy as np

from fpu.priors import shapes
from fpu.priors.shapes import step

KINDS = 4
_SOFT = 0.02  # of the outlines, in shares of the image


def draw(
    rng: np.random.Generator, n: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n, H, W], about 0 to 1; int32 [n], the kind in 0..KINDS-1)."""
    y, x = shapes.grid(height, width)
    between = shapes.uniform(rng, n)
    kind = rng.integers(0, KINDS, n).astype(np.int32)
    zoom = between(0.95, 1.5)
    down = (y - 0.5) / zoom + 0.5 + between(-0.08, 0.08)
    across = (x - 0.5) / zoom + between(-0.08, 0.08) + between(-0.1, 0.1) * (y - 0.5)
    lungs = _lungs(between, down, across)
    air = between(0.1, 0.45) * (1.0 - _opacity(rng, kind, y, x, across, down))
    image = _body(between, down, across) - air * lungs
    image += _ribs(between, down, across) * between(0.2, 1.0)
    image = shapes.blurred(image, between(0.0, 0.12))
    image += between(0.0, 0.08) * shapes.field(rng, n, (height, width), 4)
    image += between(0.002, 0.015) * rng.standard_normal(image.shape, np.float32)
    return (image - 0.5) * between(0.6, 1.15) + between(0.42, 0.66), kind


def _lungs(between, y, x):
    """Where there is lung, 0 to 1 [n, H, W]; x is 0 on the spine."""
    out = np.abs(x)
    apex, floor = between(0.08, 0.22), between(0.72, 0.86)
    low = np.clip((y - apex) / (floor - apex), 0.0, 1.0)
    heart = np.exp(-np.square((low - between(0.7, 0.95)) / between(0.15, 0.3)))
    inner = between(0.05, 0.08) + np.where(x > 0, between(0.05, 0.2), between(0.0, 0.1)) * low
    inner += np.where(x > 0, between(0.0, 0.12), between(0.0, 0.05)) * heart
    outer = between(0.3, 0.4) * np.sqrt(1.0 - (1.0 - low) ** between(1.3, 2.2) + 1e-3) + 0.02
    dome = floor + between(0.5, 2.0) * np.square(out - 0.18) + between(0.0, 0.05) * (x > 0)
    return step(out - inner, _SOFT) * step(outer - out, _SOFT) * step(dome - y, _SOFT)


def _body(between, y, x):
    """Soft tissue, spine, belly with a bubble of gas, neck; black beside the body: [n, H, W]."""
    out = np.abs(x)
    image = between(0.55, 0.75) + between(0.0, 0.1) * np.exp(-np.square(x / between(0.03, 0.09)))
    image = image + between(0.0, 0.15) * step(y - between(0.75, 0.95), 0.04)
    gas = shapes.ellipse(
        y, x, (between(0.85, 1.0), between(0.08, 0.25)), (between(0.02, 0.07), 0.07)
    )
    image -= between(-0.2, 0.2).clip(0) * step(1.0 - gas, 0.15)
    head = shapes.ellipse(
        y, x, (between(-0.15, -0.02), 0.0), (between(0.05, 0.16), between(0.12, 0.25))
    )
    image += between(0.0, 0.3) * step(1.0 - head, 0.1)
    wide = between(0.4, 0.7) - between(0.0, 0.15) * np.square(y - 0.5)
    shoulder = between(-0.15, 0.06) + between(0.0, 0.4) * np.square(np.maximum(out - 0.15, 0.0))
    inside = step(wide - out, 0.015) * np.maximum(step(y - shoulder, 0.02), step(1.0 - head, 0.1))
    return image * (1.0 - between(0.5, 1.0) * (1.0 - inside))


def _ribs(between, y, x):
    """Arcs that fall outwards and two collar bones, a few percent of the light: [n, H, W]."""
    out = np.abs(x)
    arcs = y - between(0.1, 0.5) * out + between(0.0, 1.0) * np.square(out)
    ribs = np.cos(2 * np.pi * (arcs * between(8.0, 13.0) + between(0.0, 1.0)))
    collar = y - between(0.08, 0.2) + between(0.0, 0.4) * (out - 0.1)
    bone = np.exp(-np.square(collar / 0.025)) * step(out - 0.05, _SOFT)
    return 0.035 * ribs * step(out - 0.09, 0.03) * step(0.4 - out, 0.03) + 0.06 * bone


def _opacity(rng, kind, y, x, across, down):
    """Share of the lung that is no longer dark, 0 to 1 [n, H, W], by kind."""
    n = len(kind)
    between = shapes.uniform(rng, n)
    clear, patches, haze, solid = ((kind == k)[:, None, None] for k in range(4))
    spots = step(shapes.field(rng, n, (y.size, x.size), 6) - between(0.0, 1.2), 0.25)
    veil = between(0.3, 1.0) * step(between(0.0, 0.3) - 0.5 * np.abs(across) + 0.3 * down, 0.15)
    side = np.where(between(-1.0, 1.0) > 0, across, -across)
    lobe = step(side, 0.03) * step(between(0.25, 0.6) - np.abs(down - between(0.2, 0.8)), 0.05)
    light = patches * spots * between(0.4, 1.0) + haze * veil + solid * lobe * between(0.5, 1.0)
    return np.clip(light + clear * between(0.0, 0.1), 0.0, 1.0)
