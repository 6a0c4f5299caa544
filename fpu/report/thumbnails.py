"""A few synthetic images inside a record, so that pages of many runs can show them side by side.

Only of runs that are differentially private: what a record carries may be handed on.
"""

import base64
import binascii
import io
import itertools

import numpy as np

COUNT = 12
_MAGIC = b"\x89PNG\r\n\x1a\n"
_MOST = 2**20  # characters


def encode(images: np.ndarray, labels: np.ndarray) -> str:
    """The first images, classes in turn, side by side as a PNG in base64.

    Args:
      images: uint8 [N, H, W, C], C in {1, 3}.
      labels: int [N].
    """
    from matplotlib.image import imsave  # half a second to import

    queues = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = itertools.zip_longest(*queues)
    shown = [i for turn in turns for i in turn if i is not None][:COUNT]
    apart = ((0, 0), (0, 0), (0, 1), (0, 0))  # a white column behind each
    strip = np.concatenate(list(np.pad(images[shown], apart, constant_values=255)), axis=1)
    strip = strip.repeat(3, axis=2) if strip.shape[2] == 1 else strip
    buffer = io.BytesIO()
    imsave(buffer, strip, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def valid(text) -> bool:
    """Whether this is what `encode` writes: a record comes from outside."""
    if not isinstance(text, str) or len(text) > _MOST:
        return False
    try:
        return base64.b64decode(text, validate=True).startswith(_MAGIC)
    except (binascii.Error, ValueError):
        return False
