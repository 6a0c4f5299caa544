"""The one rule by which images become as large as they are needed: nothing is cut off, nothing is stretched.

An image is scaled until it fits (Pillow's bilinear filter, which averages where it shrinks), and stands in the middle
of a black image of the wanted size.
"""

import numpy as np
from PIL import Image

DEFAULT_SIDE = 28
MIN_SIDE, MAX_SIDE = 8, 64  # what models are made for


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [height, width, C] of an image [h, w, C] of any numeric type, on the same scale."""
    h, w, channels = image.shape
    scale = min(height / h, width / w)
    down, across = (max(1, round(scale * side)) for side in (h, w))
    fitted = np.zeros((height, width, channels), np.float32)
    top, left = (height - down) // 2, (width - across) // 2
    for c in range(channels):
        plane = Image.fromarray(np.ascontiguousarray(image[..., c], np.float32))
        if (down, across) != (h, w):
            plane = plane.resize((across, down), Image.Resampling.BILINEAR)
        fitted[top : top + down, left : left + across, c] = np.asarray(plane)
    return fitted


def fit_all(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [n, height, width, C] of images uint8 [n, h, w, C]."""
    if images.shape[1:3] == (height, width):
        return images
    fitted = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for i, image in enumerate(images):
        fitted[i] = np.round(fit(image, height, width))
    return fitted


def by(shape: tuple[int, ...]) -> str:
    """A size in words: 28x28x1."""
    return "x".join(map(str, shape))


def white(largest: int) -> tuple[int, str]:
    """(the largest number of the bits, 10, 12, 14 or 16, of a scanner whose 16-bit files go up to `largest`, in words).

    A property of the scanner, so the same for all images of a set; it is taken to be public, as the side is.
    """
    bits = next(bits for bits in (10, 12, 14, 16) if largest < 2**bits)
    return 2**bits - 1, f"16-bit pixels go up to {largest:,}: read as {bits} bits"
