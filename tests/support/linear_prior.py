"""A stand-in for a public prior: random images in a random linear space of five directions. Made at once."""

import functools

import jax
import numpy as np

from fpu.models import Spec
from fpu.priors import Prior, Space

SPEC, D = Spec((8, 8, 1), 3), 5
_ROWS = np.linalg.qr(np.random.default_rng(0).normal(size=(64, D)))[0].T


def encode(images):
    return ((np.reshape(images, (len(images), 64)) / 255.0 - 0.5) @ _ROWS.T).astype(np.float32)


def decode(codes):
    pixels = np.clip(np.asarray(codes, np.float64) @ _ROWS + 0.5, 0.0, 1.0)
    return np.round(255 * pixels).astype(np.uint8).reshape(-1, 8, 8, 1)


def vary(key, images):
    moved = np.asarray(jax.random.randint(key, images.shape, -9, 10)) + images
    return np.clip(moved, 0, 255).astype(np.uint8)


@functools.cache
def make() -> Prior:
    """The prior, with a pool of 400 images."""
    images = decode(np.random.default_rng(1).normal(size=(400, D)) * 0.8)
    codes = encode(images)
    radius = 1.1 * float(np.median(np.linalg.norm(codes, axis=1)))
    within = (0.3 * np.cov(codes.T)).astype(np.float32)
    space = Space(encode, decode)
    return Prior("linear", "1", "Nothing.", images, codes, space, radius, within, vary)


def members(count):
    """Images [count, 8, 8, 1] of three classes, each of two bumps, and labels."""
    rng = np.random.default_rng(2)
    labels, centres = np.arange(count) % 3, np.random.default_rng(3).normal(size=(3, 2, D)) * 0.4
    codes = centres[labels, rng.integers(0, 2, count)] + 0.15 * rng.normal(size=(count, D))
    return decode(codes), labels


def with_a_strange_member(seed, label, code):
    """(images, labels, prior): the first of twelve members has random pixels and this label; where `code` is not None,
    the prior's encoder fails on it with that number.
    """
    images, labels = members(12)
    images[0] = np.random.default_rng(seed).integers(0, 256, images[0].shape)
    strange, labels[0] = images[0].copy(), label

    def failing(batch):
        codes = encode(batch)
        if code is not None:
            codes[(batch == strange[None]).all((1, 2, 3)), 0] = code
        return codes

    return images, labels, make()._replace(space=make().space._replace(encode=failing))
