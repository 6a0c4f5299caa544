"""Small data sets: the arrays of an .npz, a Dataset with given class counts, and scikit-learn's digits."""

import functools

import numpy as np
from sklearn.datasets import load_digits

from fpu import data


@functools.cache
def digits():
    """1,797 images uint8 [n, 8, 8, 1] in a random order, and labels."""
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order].astype(np.int32)


def arrays():
    """A valid file of three splits, 9x9 grey, three classes in turn."""
    rng = np.random.default_rng(0)
    made = {}
    for split, n in (("train", 12), ("val", 6), ("test", 6)):
        made[f"{split}_images"] = rng.integers(0, 256, (n, 9, 9), np.uint8)
        made[f"{split}_labels"] = (np.arange(n) % 3).astype(np.uint8)[:, None]
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
