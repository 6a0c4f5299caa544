"""The targets of membership attacks: members and as many unseen images of the same classes, unit by unit."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fpu import data, neighbours
from fpu.privacy import attacks


class Targets(NamedTuple):
    """Images to attack. Units 0 to n_members - 1 are members, the others are not.

    Where the data carry groups a unit is a group, told apart by the mean score of its images.
    """

    index: np.ndarray  # int [n], into dataset.images
    owner: np.ndarray  # int [n], the unit of each image; every unit has one or more
    n_members: int
    n_others: int
    unit: str  # image or group


def choose(
    dataset: data.Dataset,
    split: data.Split,
    released: np.ndarray,
    rng: np.random.Generator,
    most: int,
) -> Targets:
    """The images that attacks on a generator are tried on.

    Args:
      dataset, split: the generator was trained on images[split.members].
      released: uint8 [n, H, W, C], its synthetic images.
      rng: draws the units, class by class.
      most: units on each side, at most; and about as many images.

    The others are the non-members of the split, if they were not released (see `_unseen`). A group of which
    any image was trained on is no non-member; an image outside every group is no unit.
    """
    others = _unseen(dataset, split, released)
    if dataset.groups is not None:
        others = others[~np.isin(dataset.groups[others], dataset.groups[split.members])]
    sides = [_units(dataset, index) for index in (split.members, others)]
    chosen = data.class_matched(rng, *(classes for _, classes in sides), most=most)
    m, n = map(len, chosen)
    few = max(1, most // max(1, m))  # images of one group, at most
    images = [
        rows[u] if len(rows[u]) <= few else rng.permutation(rows[u])[:few]
        for (rows, _), units in zip(sides, chosen, strict=True)
        for u in units
    ]
    owner = np.repeat(np.arange(m + n), [len(index) for index in images])
    unit = "image" if dataset.groups is None else "group"
    return Targets(np.concatenate([*images, np.arange(0)]), owner, m, n, unit)


def judge(
    targets: Targets, scores: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, dict]:
    """{name: attacks.membership of the units} of {name: float [n], a score of each image}."""
    m, count = targets.n_members, targets.n_members + targets.n_others
    out = {}
    for name, values in scores.items():
        values = attacks.means(values, targets.owner, count)
        out[name] = attacks.membership(values[:m], values[m:], rng, targets.unit)
    return out


def _units(dataset, index):
    """The privacy units among `index`: a list of the dataset indices of each, and their classes."""
    if dataset.groups is None:
        return index[:, None], dataset.labels[index]
    index = index[dataset.groups[index] >= 0]
    units = [index[row[:size]] for row, size in zip(*data.units(dataset, index), strict=True)]
    classes = [np.bincount(dataset.labels[rows]).argmax() for rows in units]
    return units, np.array(classes, int)


def _unseen(dataset, split, images):
    """Real images to attack beside the members: the non-members, if they were not released.

    The baseline `fresh` releases the non-members, which then score higher than the members do; the reference set
    takes their place. An image that occurs more than once (a blank scan, say) counts once.
    """
    for index in (split.nonmembers, split.reference):
        if len(index):
            distinct = np.unique(dataset.images[index], axis=0)
            if (neighbours.distance(distinct, images) == 0).mean() < 0.5:
                return index
    return np.arange(0)
