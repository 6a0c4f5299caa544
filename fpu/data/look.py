"""A look at the data before anything is trained: what would change the guarantee, or make a number mean less.

For the data holder alone: these lines are computed from the images without noise.
"""

import numpy as np

from fpu.data.dataset import Dataset
from fpu.data.privacy_units import units
from fpu.data.subsets import Split

_UNEVEN = 5  # times as many members of one class as of another


def look(dataset: Dataset, split: Split) -> list[str]:
    """What the holder of the data should know, in lines: what was done to the files, classes, copies, groups."""
    keys = np.array([hash(image.tobytes()) for image in dataset.images])  # equal images, equal keys
    return [
        *dataset.notes,
        *_classes(dataset, split),
        *_groups(dataset, split),
        *_copies(dataset, split, keys),
        *_pixels(dataset, split),
    ]


def _classes(dataset: Dataset, split: Split) -> list[str]:
    counts = np.bincount(dataset.labels[split.members], minlength=dataset.n_classes)
    named = [f"{name} {count:,}" for name, count in zip(dataset.class_names, counts, strict=True)]
    more = f" and {len(named) - 12} other classes" if len(named) > 12 else ""
    lines = [f"{counts.sum():,} members of {dataset.name}: {', '.join(named[:12])}{more}"]
    if counts.max() >= _UNEVEN * max(1, counts.min()):
        lines.append(
            "the members' classes are uneven, the synthetic images' are even; --labels=0,0,0,1 would draw three times "
            "as many of class 0"
        )
    return lines


def _groups(dataset: Dataset, split: Split) -> list[str]:
    if dataset.groups is None:
        return []
    sizes = np.sort(units(dataset, split.members)[1])
    return [
        f"{len(sizes):,} groups of {sizes[0]:,} to {sizes[-1]:,} images, half of them of {int(np.median(sizes)):,} at "
        f"most. A group is protected as a whole and counts as one: the noise is that of n = {len(sizes):,}, not of "
        f"{sizes.sum():,} images"
    ]


def _copies(dataset: Dataset, split: Split, keys: np.ndarray) -> list[str]:
    lines = []
    members = split.members
    # A copy within a group is protected with it: of each group every image counts once.
    owner = members if dataset.groups is None else dataset.groups[members]
    owners = _each(keys[members], owner)
    if len(copied := owners[owners > 1]):
        lines.append(
            f"{len(copied):,} images are there more than once among the members, up to {max(copied):,} times. The "
            f"guarantee is for one {dataset.unit}: a person whose image is there {max(copied):,} times has "
            f"{max(copied):,} times the eps; remove copies, or give them one group"
        )
    if twofold := int((_each(keys, dataset.labels) > 1).sum()):
        lines.append(
            f"{twofold:,} images are there under several classes: what a class is, is unclear"
        )
    for name in ("nonmembers", "reference", "test"):
        indices = getattr(split, name)
        if shared := int(np.isin(keys[indices], keys[members]).sum()):
            lines.append(
                f"{shared:,} of {len(indices):,} images of the {name} set are copies of members: what is measured "
                "there flatters the generator, and attacks look weaker than they are"
            )
    return lines


def _each(keys: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many different values of `others` each distinct key stands beside."""
    pairs = np.unique(np.stack([keys, others]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1]


def _pixels(dataset: Dataset, split: Split) -> list[str]:
    values = np.unique(dataset.images[split.members])
    if values[-1] <= 1:
        return ["pixels are 0 and 1 only, of 255: nearly black; if 1 is white, multiply by 255"]
    if len(values) == 2:
        return [f"pixels are {values[0]} and {values[1]} only; images will be drawn in grey"]
    return []
