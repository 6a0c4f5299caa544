"""Small data sets: the arrays of an .npz, a Dataset with given class counts, and scikit-learn's digits."""

import functools

import numpy as np

from fpu import data


@functools.cache
def digits():
    """1,797 images uint8 [n, 8, 8, 1] in a random order, and labels."""
    found = data.load("digits")
    order = np.random.default_rng(0).permutation(len(found.images))
    return found.images[order], found.labels[order]


def arrays(n=(12, 6, 6), side=9, channels=None, n_classes=3):
    """A valid file of three splits of so many images, grey or of these channels, classes in turn."""
    rng, made = np.random.default_rng(0), {}
    shape = (side, side) if channels is None else (side, side, channels)
    for split, size in zip(("train", "val", "test"), n, strict=True):
        made[f"{split}_images"] = rng.integers(0, 256, (size, *shape), np.uint8)
        made[f"{split}_labels"] = (np.arange(size) % n_classes).astype(np.uint8)[:, None]
    return made


def dataset(counts, val=(), test=(), groups=None, seed=0):
    """A Dataset with these images of each class in each split, shuffled within the split."""
    rng = np.random.default_rng(seed)
    parts = [np.repeat(np.arange(len(c)), c) for c in (counts, val, test)]
    labels = np.concatenate([rng.permutation(p) for p in parts]).astype(np.int32)
    split = np.repeat([0, 1, 2], [len(p) for p in parts]).astype(np.int8)
    images = rng.integers(0, 256, (len(labels), 8, 8, 1), np.uint8)
    names = tuple(f"c{k}" for k in range(len(counts)))
    return data.Dataset("toy", images, labels, split, groups, names, "made up")
