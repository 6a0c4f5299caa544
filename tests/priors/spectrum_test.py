"""fpu/priors/spectrum.py: a code sees one image; scales are those of a pool. Where things are: scans_test.py."""

import numpy as np
import pytest
from scipy.signal import windows

from fpu.models import Spec
from fpu.priors import spectrum

RNG = np.random.default_rng


def pool(shape=(12, 12, 1), n=400, seed=0):
    """Images of two classes, one dark and one bright, with noise of random strength."""
    rng = RNG(seed)
    classes = rng.integers(0, 2, n)
    noise = rng.normal(size=(n, *shape)) * rng.uniform(5, 40, (n, 1, 1, 1))
    x = 80 + 90 * classes[:, None, None, None] + noise
    return np.clip(x, 0, 255).astype(np.uint8), classes


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 64, 1), (9, 20, 1), (16, 16, 3)])
def test_codes_of_any_shape(shape):
    images, classes = pool(shape, 120)
    space = spectrum.space(images, classes, Spec(shape, 2))
    codes = space.encode(images[:7])
    assert (codes.shape, codes.dtype) == ((7, spectrum.SIZE), np.float32)
    assert np.isfinite(codes).all()
    assert space.decode is None


def test_a_code_sees_one_image_alone():
    images, classes = pool()
    encode = spectrum.space(images, classes, Spec((12, 12, 1), 2)).encode
    other = images.copy()
    other[1:] = 255 - other[1:]
    np.testing.assert_array_equal(encode(images)[0], encode(other)[0])


def test_scales_are_those_within_a_class():
    images, classes = pool()
    own = spectrum.space(images, classes, Spec((12, 12, 1), 2)).encode(images)
    blind = spectrum.space(images, None, Spec((12, 12, 1), 2)).encode(images)

    def apart(codes):
        means = np.stack([codes[classes == k].mean(0) for k in (0, 1)])
        rest = codes - means[classes]
        return np.square(means[0] - means[1]).sum() / np.square(rest).sum(1).mean()

    np.testing.assert_allclose(own.mean(0), 0, atol=1e-3)
    assert apart(own) > 1.5 * apart(blind)


def test_blank_and_equal_images_have_finite_codes():
    images = np.zeros((50, 10, 10, 1), np.uint8)
    images[:25] = 255
    assert np.isfinite(spectrum.space(images, None, Spec((10, 10, 1), 2)).encode(images)).all()


@pytest.mark.parametrize("shape", [(12, 12, 1), (31, 16, 3)])
def test_features_are_logarithms_of_a_windowed_spectrum_before_the_frequencies(shape):
    height, width, _ = shape
    image = RNG(0).integers(0, 256, (1, *shape), np.uint8)
    waves = [*range(15), *range(-14, 0)] if height > 28 else range(height)  # at most 14 an image
    seen = image[0].mean(-1) / 255 * np.outer(windows.hann(height), windows.hann(width))
    y, x = np.mgrid[:height, :width]
    wanted = [
        abs((seen * np.exp(-2j * np.pi * (a * y / height + b * x / width))).sum())
        for a in waves
        for b in range(width // 2 + 1)
    ]
    wanted = np.log(0.05 + np.array(wanted) * 28 / np.sqrt(height * width))
    count = spectrum.spectrum_size(Spec(shape, 2))
    np.testing.assert_allclose(spectrum.features(image)[0, :count], wanted)
    assert not (spectrum.features(np.zeros_like(image))[0, count:] == np.log(0.05)).any()
