"""A synthetic set of given data, whoever made it: an .npz or a folder, in the size and classes of the data."""

import unicodedata
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import folders, npz
from fpu.data.dataset import Dataset


def load_synthetic(
    path: str | Path, dataset: Dataset, skip_unreadable: bool = False
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(images uint8 [N, *dataset.shape], labels int32 [N], lines to be said) of a synthetic set of `dataset`.

    Args:
      path: an .npz, of which the train split is read: its labels are positions in the class names of `dataset`, or
        these names; or a folder, whose classes are these names, positions, or what `save_folder` writes. Images of
        another size are resized by sizes.fit.

    Some classes may be absent. Raises InputError.
    """
    path, size = Path(path).expanduser(), dataset.shape[:2]
    if path.is_dir():
        read = folders.read(path, *size, skip_unreadable)
        images, lines = read.images, list(read.lines)
        labels = np.array([entry.label for entry in read.entries])
    else:
        parts, lines = npz.read(path, splits=("train",), size=size)
        images, labels = parts["train"].images, parts["train"].labels
    if images.shape[3] != dataset.shape[2]:
        lines.append(
            f"{path}: made {'grey' if dataset.shape[2] == 1 else 'RGB'}, as {dataset.name} is"
        )
        if dataset.shape[2] == 3:
            images = np.repeat(images, 3, axis=3)
        else:  # the luma of RGB (ITU-R BT.601)
            images = np.round(images @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)
    return images, _positions(path, labels, dataset.class_names), lines


def _positions(path: Path, labels: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """int32 [N]: labels that are text, as positions in class_names."""
    if labels.dtype.kind != "U":
        return labels
    known = {folders.subfolder(k, class_names): k for k in range(len(class_names))}
    known |= {str(k): k for k in range(len(class_names))}
    known |= {unicodedata.normalize("NFC", name): k for k, name in enumerate(class_names)}
    kinds, place = np.unique(labels, return_inverse=True)
    if unknown := [str(kind) for kind in kinds if kind not in known]:
        raise InputError(
            f"{path}: class {unknown[0]} is none of the real data's: {', '.join(class_names[:20])}"
        )
    return np.array([known[kind] for kind in kinds], np.int32)[place]
