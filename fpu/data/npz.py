"""The .npz format of MedMNIST: train_images, train_labels, and the same for val and test.

These files come from users, so every header is checked before any pixel is read. Every refusal is one line that
names the file, the field and the fix.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.files import safe

MIN_SIDE, MAX_SIDE = 8, 64
SPLITS = ("train", "val", "test")
Part = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # images, labels, groups
_FIELDS = ("train_groups", *(f"{s}_{part}" for s in SPLITS for part in ("images", "labels")))


def read(path: str | Path, splits: Sequence[str] = SPLITS) -> dict[str, Part]:
    """{split: (images uint8 [N, H, W, C], labels int32 [N], groups int32 [N] or None)}.

    Splits that are absent or empty are left out, but train must be there. Groups (train only) are
    numbered from 0 in order of first appearance. Raises InputError.
    """
    headers = safe.npz_headers(path, _FIELDS)
    sides = {}
    for split in splits:
        images, labels = f"{split}_images", f"{split}_labels"
        if split != "train" and images not in headers and labels not in headers:
            continue
        for field in (images, labels):
            if field not in headers:
                raise InputError(f"{path}: no array {field}; MedMNIST's format needs it")
        shape, dtype = headers[images]
        if split != "train" and shape[:1] == (0,):
            continue
        sides[split] = _check_images(path, images, shape, dtype)
        _check_labels(path, labels, *headers[labels], len_images=shape[0])
        if sides[split] != sides["train"]:
            raise InputError(
                f"{path}: {images} are {_by(sides[split])}, train_images {_by(sides['train'])}; "
                "all splits need one size"
            )
    if "train_groups" in headers:
        shape, dtype = headers["train_groups"]
        n = headers["train_images"][0][0]
        if dtype.kind not in "iuSU" or shape not in ((n,), (n, 1)):
            raise InputError(
                f"{path}: train_groups is {dtype} {list(shape)}; need one integer or text id for "
                f"each of the {n} train_images"
            )
    return {split: _arrays(path, split, sides[split], headers) for split in sides}


def save_npz(path: str | Path, images: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
    """Write a synthetic set in MedMNIST's format, atomically.

    images uint8 [N, H, W, C] (grey is stored [N, H, W]) and labels [N] become train_*; val_* and
    test_* are empty arrays of the right shape.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ValueError("need images uint8 [N, H, W, C] and labels [N]")
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels must be in 0..{n_classes - 1}")
    images = images[..., 0] if images.shape[-1] == 1 else images
    labels = labels[:, None].astype(np.uint8 if n_classes <= 256 else np.int32)
    arrays = {"train_images": images, "train_labels": labels}
    for split in SPLITS[1:]:
        arrays |= {f"{split}_images": images[:0], f"{split}_labels": labels[:0]}
    safe.write_npz(path, arrays)


def load_images(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [N, H, W, C], labels int32 [N]): the train_* of an .npz such as save_npz's.

    Some classes may be absent, unlike in fpu.data.load. Raises InputError.
    """
    images, labels, _ = read(path, splits=("train",))["train"]
    return images, labels


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape)


def _check_images(
    path: str | Path, field: str, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[int, ...]:
    """(H, W, C) of a header, or InputError."""
    if dtype != np.uint8:
        fix = (
            " (from [0, 1]: np.uint8(np.round(255 * x)), without NaN)" if dtype.kind == "f" else ""
        )
        raise InputError(f"{path}: {field} is {dtype}; store uint8 pixels, 0 to 255{fix}")
    if len(shape) == 3:
        shape = (*shape, 1)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise InputError(
            f"{path}: {field} has shape {list(shape)}; need [N, H, W] (grey) or [N, H, W, 3] (RGB)"
        )
    if not shape[0]:
        raise InputError(f"{path}: {field} is empty; at least one image of each class is needed")
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in shape[1:3]):
        raise InputError(
            f"{path}: {field} are {_by(shape[1:3])} pixels; resize each side to "
            f"{MIN_SIDE}..{MAX_SIDE}"
        )
    return shape[1:]


def _check_labels(
    path: str | Path, field: str, shape: tuple[int, ...], dtype: np.dtype, len_images: int
) -> None:
    if dtype.kind not in "iu":
        raise InputError(f"{path}: {field} is {dtype}; store integer class numbers, 0..K-1")
    if len(shape) == 2 and shape[1] > 1:
        raise InputError(f"{path}: {field} has {shape[1]} labels an image; one is needed")
    if shape not in ((len_images,), (len_images, 1)):
        raise InputError(
            f"{path}: {field} has shape {list(shape)} for {len_images} images; "
            f"need [{len_images}] or [{len_images}, 1]"
        )


def _arrays(
    path: str | Path, split: str, shape: tuple[int, ...], headers: dict[str, safe.Header]
) -> Part:
    images = safe.npz_array(path, f"{split}_images").reshape(-1, *shape)
    labels = safe.npz_array(path, f"{split}_labels").ravel()
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise InputError(f"{path}: {split}_labels holds {wrong}; number the classes 0..K-1")
    groups = None
    if split == "train" and "train_groups" in headers:
        ids = safe.npz_array(path, "train_groups").ravel()
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[inverse].astype(np.int32)
    return images, labels.astype(np.int32), groups
