"""A private release of twelve images of three classes, without a generator."""

import numpy as np

from fpu import data
from fpu.dp.plan import Plan, Release
from fpu.release import pack, texts

PLAN = Plan(1e-3, (Release(4.0),), "image")
LABELS = np.arange(12) % 3
NAMES = ("nothing", "a, b", "x/../y")
# A picture of no pixels.
PNG = b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IEND" + bytes(4)


def images(channels=1):
    return np.random.default_rng(0).integers(0, 256, (12, 8, 8, channels), np.uint8)


def write(folder, channels=1, labels=LABELS, disclosed=False):
    """The folder."""
    shown = images(channels)
    public = data.Dataset("scans", shown, LABELS, np.zeros(12, np.int8), None, NAMES, "tests")
    guarantee = texts.privacy(PLAN, disclosed)
    pack.write(folder, guarantee, shown, labels, public, None, lambda path: path.write_bytes(PNG))
    return folder
