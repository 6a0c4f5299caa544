"""Privacy units: the images or, where the data have groups (patients, say), the groups. Their numbers and hashes."""

import hashlib

import numpy as np

from fpu.data.dataset import Dataset


def units(dataset: Dataset, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The privacy units among `indices`, in the form that the sampler needs.

    Returns (table int32 [U, m], sizes int32 [U]): row u holds the positions in `indices` (not in
    the data set) of the images of unit u in its first sizes[u] columns; the rest repeats the first,
    so that every entry is a valid position. Without groups: table = arange(n)[:, None], sizes = 1.
    """
    unit, unit_class = unit_of(dataset, np.asarray(indices))
    sizes = np.bincount(unit, minlength=len(unit_class)).astype(np.int32)
    order = np.argsort(unit, kind="stable").astype(np.int32)
    starts = np.cumsum(sizes) - sizes
    column = np.arange(sizes.max(initial=1))
    column = np.where(column[None, :] < sizes[:, None], column[None, :], 0)
    return order[starts[:, None] + column], sizes


def unit_of(dataset: Dataset, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(unit of each image [n], class of each unit [U]): units numbered from 0 in file order.

    A group's class is its most frequent label, the lowest on a tie. An image without a group (in val and test) is a
    unit by itself.
    """
    labels = dataset.labels[indices]
    if dataset.groups is None:
        return np.arange(len(indices)), labels
    group = dataset.groups[indices].astype(np.int64)
    ungrouped = group < 0
    group[ungrouped] = np.iinfo(np.int32).max + np.arange(ungrouped.sum(), dtype=np.int64) + 1
    groups, unit = np.unique(group, return_inverse=True)
    counts = np.zeros((len(groups), dataset.n_classes), np.int64)
    np.add.at(counts, (unit, labels), 1)
    return unit, counts.argmax(axis=1)


def hashes(dataset: Dataset, indices: np.ndarray, key: str) -> np.ndarray:
    """uint64 [U]: the hash of each unit among `indices`, numbered as in `unit_of`.

    That of an image is BLAKE2b, under a public key, of its label and pixels; that of a group, of the hashes of its
    images in ascending order.
    """

    def hashed(content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=8, key=key.encode()).digest()

    labels = dataset.labels[indices].astype("<i4")
    own = [
        hashed(label.tobytes() + dataset.images[i].tobytes())
        for i, label in zip(indices, labels, strict=True)
    ]
    images = np.frombuffer(b"".join(own), "<u8")
    if dataset.groups is None:
        return images
    unit, unit_class = unit_of(dataset, indices)
    together = images[np.lexsort((images, unit))]
    ends = np.cumsum(np.bincount(unit, minlength=len(unit_class)))
    groups = [hashed(part.tobytes()) for part in np.split(together, ends)[:-1]]
    return np.frombuffer(b"".join(groups), "<u8")
