"""Whom membership attacks are tried on: members and as many unseen images of the same classes, unit by unit."""

from typing import NamedTuple

import numpy as np

from fpu import data
from fpu.privacy import attacks
from fpu.privacy.distance import nearest


class Targets(NamedTuple):
    """Images to attack. Units 0 to n_members - 1 are members, the others are not.

    Where the data carry groups a unit is a group, told apart by the mean score of its images.
    """

    index: np.ndarray  # int [n], into dataset.images
    owner: np.ndarray  # int [n], the unit of each image; every unit has one or more
    n_members: int
    n_others: int
    unit: str  # image or group


def choose(dataset, split, released, rng, most):
    """The Targets of a release.

    Args:
      dataset, split: the generator was trained on images[split.members].
      released: uint8 [n, H, W, C], what it handed out.
      rng: numpy Generator; which of them, class by class.
      most: units on each side, at most; and about as many images.

    The others are non-members of the same split, if they were not released (see `_unseen`). A group
    that was trained on, if only in part, is no non-member; an image outside every group is no unit.
    """
    others = _unseen(dataset, split, released)
    if dataset.groups is not None:
        others = others[~np.isin(dataset.groups[others], dataset.groups[split.members])]
    sides = [_units(dataset, index) for index in (split.members, others)]
    chosen = data.class_matched(rng, *(classes for _, classes in sides), most=most)
    m, n = map(len, chosen)
    few = max(1, most // max(1, m))  # images of one group, at most
    rows = [
        own[u] if len(own[u]) <= few else rng.permutation(own[u])[:few]
        for (own, _), units in zip(sides, chosen, strict=True)
        for u in units
    ]
    owner = np.repeat(np.arange(m + n), [len(row) for row in rows])
    unit = "image" if dataset.groups is None else "group"
    return Targets(np.concatenate([*rows, np.arange(0)]), owner, m, n, unit)


def judge(targets, scores, rng):
    """{name: what attacks.membership says} of {name: float [n], a score of each image}."""
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
    own = [index[row[:size]] for row, size in zip(*data.units(dataset, index), strict=True)]
    classes = [np.bincount(dataset.labels[rows]).argmax() for rows in own]
    return own, np.array(classes, int)


def _unseen(dataset, split, images):
    """Real images to attack beside the members: the non-members, if they were not released.

    `fresh` hands out the non-members, which then look more like members than the members do; the
    reference set takes their place.
    """
    for index in (split.nonmembers, split.reference):
        copies = nearest(dataset.images[index], images) == 0
        if len(copies) and copies.mean() < 0.5:
            return index
    return np.arange(0)
