"""fpu/priors/components.py: colour is told, what a code does not say is the pool's, a code sees one image."""

import numpy as np
import pytest

from fpu.models import Spec
from fpu.priors import components

SPEC = Spec((12, 12, 3), 2)


def pool(count=400):
    """Noise on two colours, and which of them an image has."""
    rng, classes = np.random.default_rng(0), np.arange(count) % 2
    colours = np.array([[90, 120, 120], [120, 120, 90]])[classes][:, None, None]
    noise = 40 * rng.normal(size=(count, *SPEC.shape))
    return np.clip(colours + noise, 0, 255).astype(np.uint8), classes


def test_the_code_of_an_image_is_its_own_and_tells_colours_apart():
    images, classes = pool()
    codes = components.space(images, None, SPEC).encode(images)
    assert (codes.shape, codes.dtype) == ((400, components.SIZE), np.float32)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-3)
    means = np.stack([codes[classes == k].mean(0) for k in (0, 1)])
    spread = np.square(codes - means[classes]).sum(1).mean()
    assert np.square(means[0] - means[1]).sum() > 0.15 * spread
    other = np.concatenate([images[:1], 255 - images[1:]])
    moved = components.space(images, None, SPEC).encode(other)
    np.testing.assert_allclose(moved[0], codes[0], atol=1e-5)


def test_components_are_of_differences_within_a_class():
    images, classes = pool()
    for known, least, most in ((None, 0.95, 1.0), (classes, 0.0, 0.5)):
        first = components.space(images, known, SPEC).encode(images)[:, 0]
        assert least <= abs(np.corrcoef(first, classes)[0, 1]) <= most


def test_a_draw_has_the_code_and_all_else_of_the_nearest_image_of_the_pool():
    images, _ = pool()
    images = 64 + images // 2  # no pixel leaves 0 to 255
    space = components.space(images, None, SPEC)
    codes = space.encode(images)
    np.testing.assert_array_equal(space.decode(codes), images)
    wanted = codes[:50] + 0.05 * np.random.default_rng(1).normal(size=(50, components.SIZE))
    drawn = space.decode(wanted.astype(np.float32))
    np.testing.assert_allclose(space.encode(drawn), wanted, atol=0.02)
    near = np.square(wanted[:, None] - codes[None]).sum(2).argmin(1)
    apart = (drawn.astype(float) - images[near]).reshape(50, -1)
    assert np.linalg.matrix_rank(apart, tol=30.0) <= components.SIZE


@pytest.mark.parametrize("count", [3, 100])
def test_few_and_equal_images_have_finite_codes_and_draws(count):
    images = np.zeros((count, *SPEC.shape), np.uint8)
    images[: count // 2] = 255
    space = components.space(images, None, SPEC)
    codes = space.encode(images)
    assert np.isfinite(codes).all()
    np.testing.assert_array_equal(space.decode(codes), images)
