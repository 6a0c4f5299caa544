"""A data set in memory, and how one is made of splits, labels and groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fpu import InputError

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = 0, 1, 2  # positions in SPLITS


class Part(NamedTuple):
    """One split of a file."""

    images: np.ndarray  # uint8 [N, H, W, C]
    labels: np.ndarray  # int32 [N], 0 or more; or text [N]
    groups: np.ndarray | None  # text [N]


@dataclass(frozen=True)
class Dataset:
    """Images with one label each, in the order of the file: of an .npz or a folder train, then val, then test.

    The privacy unit is the image, or the group (a patient, say) where the data name groups.
    """

    name: str
    images: np.ndarray  # uint8 [N, H, W, C]
    labels: np.ndarray  # int32 [N], in 0..n_classes-1
    split: np.ndarray  # int8 [N]: 0 train, 1 val, 2 test
    groups: np.ndarray | None  # int32 [N]: the privacy unit of a train image, -1 elsewhere
    class_names: tuple[str, ...]
    source: str  # one line: citation, licence
    notes: tuple[str, ...] = ()  # lines for the holder: what was done to the files

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def unit(self) -> str:
        """What is protected: image, or group."""
        return "image" if self.groups is None else "group"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


def join(
    name: str,
    parts: Mapping[str, Part],
    class_names: tuple[str, ...],
    source: str,
    lines: Sequence[str] = (),
) -> Dataset:
    """One Dataset of {split: Part}."""
    images, labels, groups = zip(*parts.values(), strict=True)
    split = np.repeat([SPLITS.index(s) for s in parts], [len(part) for part in labels])
    dataset = Dataset(
        name, np.concatenate(images), np.concatenate(labels).astype(np.int32), split.astype(np.int8),
        None, class_names, source, tuple(lines),
    )  # fmt: skip
    if groups[0] is None:
        return dataset
    ids = [np.full(len(y), "") if g is None else g for y, g in zip(labels, groups, strict=True)]
    return grouped(dataset, np.concatenate(ids))


def numbered(
    path: Path, labels: dict[str, np.ndarray], where: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """(class names, {split: int32 positions in them}): the labels of train, sorted, and theirs alone.

    where: what the labels of a split are called, with {} for its name.
    """
    if "train" not in labels:
        raise InputError(f"{path}: has no image in train")
    if len({part.dtype.kind for part in labels.values()}) > 1:
        raise InputError(f"{path}: labels are numbers in one split and text in another; use one")
    present = np.unique(labels["train"])
    train = where.format("train")
    if len(present) < 2:
        raise InputError(
            f"{path}: {train} has one class only ({present[0]}); two or more are needed"
        )
    for split, part in labels.items():
        if len(strange := np.setdiff1d(part, present)):
            raise InputError(
                f"{path}: {train} has no image of class {strange[0]}, yet {where.format(split)} has; every class "
                "needs images in train"
            )
    names = tuple(str(label) for label in present)
    return names, {s: np.searchsorted(present, part).astype(np.int32) for s, part in labels.items()}


def grouped(dataset: Dataset, ids: np.ndarray) -> Dataset:
    """The data set with groups. ids: text [N], "" where unknown; numbers follow the first appearance in train."""
    train = dataset.split == TRAIN
    notes = dataset.notes
    if shared := len(np.setdiff1d(np.intersect1d(ids[train], ids[~train]), [""])):
        told = "in train and in val or test: what is measured there flatters the generator"
        notes = (*notes, f"{shared:,} groups are {told}")
    groups = np.full(len(ids), -1, np.int32)
    _, first, inverse = np.unique(ids[train], return_index=True, return_inverse=True)
    groups[train] = np.argsort(np.argsort(first))[inverse]
    return replace(dataset, groups=groups, notes=notes)
