"""The .npz format of MedMNIST: train_images, train_labels, and the same for val and test.

These files come from users, so every header is checked before any pixel is read. Every refusal is one line that
names the file, the field and the fix.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import sizes
from fpu.data.dataset import SPLITS, Part
from fpu.data.groups import refuse_patients
from fpu.data.sizes import MAX_SIDE, MIN_SIDE, by
from fpu.files import safe

_MOST_ARRAYS = 1000
_FIELDS = tuple(f"{s}_{part}" for s in SPLITS for part in ("images", "labels", "groups"))
_ROWS = 1000  # images read and converted at once
_MOST_BYTES = 2**35  # of images in a file; MedMNIST's largest are half as large


def read(
    path: str | Path, splits: Sequence[str] = SPLITS, size: tuple[int, int] | None = None
) -> tuple[dict[str, Part], list[str]]:
    """({split: Part}, what was done that should be known, in lines).

    Splits that are absent or empty are left out, but train must be there. Floats in [0, 1] become bytes; values of 16
    bits are divided by the largest one of 10, 12, 14 or 16 bits, the fewest that hold them all; an alpha channel is
    dropped; images are resized by sizes.fit.

    Args:
      size: (height, width); None: as they are, or sizes.DEFAULT_SIDE where a side is longer than MAX_SIDE.

    Raises InputError.
    """
    names = safe.npz_names(path, _MOST_ARRAYS)
    images = [field for field in _FIELDS if field.endswith("_images")]
    headers = safe.npz_headers(path, images, most=_MOST_BYTES)  # read block by block
    headers |= safe.npz_headers(path, [field for field in _FIELDS if field not in images])
    unknown = [name for name in names if name not in _FIELDS]
    if "train_groups" not in headers:
        groups = [name for name in headers if name.endswith("_groups")]
        refuse_patients(path, [*unknown, *groups], "array", "train_groups")
    lines = [f"{path}: not used: {', '.join(unknown)}"] if unknown else []
    shapes = {}
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
        shapes[split] = _check_images(path, images, shape, dtype, size)
        _check_labels(path, labels, *headers[labels], len_images=shape[0])
        if shapes[split] != shapes["train"] or dtype != headers["train_images"][1]:
            raise InputError(
                f"{path}: {images} are {by(shapes[split])} {dtype}, train_images {by(shapes['train'])} "
                f"{headers['train_images'][1]}; all splits need one size and type"
            )
    if size is None and max(shapes["train"][:2]) > MAX_SIDE:
        size = sizes.DEFAULT_SIDE, sizes.DEFAULT_SIDE
    parts, more = _parts(path, shapes, size, headers)
    return parts, lines + more


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
    """(images uint8 [N, H, W, C], labels int32 [N]): the train_* of an .npz such as save_npz's. Raises InputError."""
    part = read(path, splits=("train",))[0]["train"]
    if part.labels.dtype.kind == "U":
        raise InputError(f"{path}: train_labels is text; store integer class numbers, 0..K-1")
    return part.images, part.labels


def _check_images(
    path: str | Path, field: str, shape: tuple[int, ...], dtype: np.dtype, size: tuple | None
) -> tuple[int, ...]:
    """(H, W, C) of a header, or InputError."""
    if dtype not in (np.uint8, np.uint16) and dtype.kind != "f":
        raise InputError(
            f"{path}: {field} is {dtype}; store uint8 pixels, 0 to 255 (or uint16, or floats in [0, 1])"
        )
    if len(shape) == 3:
        shape = (*shape, 1)
    if len(shape) != 4 or shape[3] not in (1, 3, 4):
        raise InputError(
            f"{path}: {field} has shape {list(shape)}; need [N, H, W] (grey) or [N, H, W, 3] (RGB)"
        )
    if not shape[0]:
        raise InputError(f"{path}: {field} is empty; at least one image of each class is needed")
    if not min(shape[1:3]) or (size is None and min(shape[1:3]) < MIN_SIDE):
        raise InputError(
            f"{path}: {field} are {by(shape[1:3])} pixels; a side needs {MIN_SIDE} at least: --side="
            f"{sizes.DEFAULT_SIDE} resizes them"
        )
    return shape[1:]


def _check_labels(
    path: str | Path, field: str, shape: tuple[int, ...], dtype: np.dtype, len_images: int
) -> None:
    if dtype.kind not in "iuSU":
        raise InputError(f"{path}: {field} is {dtype}; store integer class numbers, or text")
    if len(shape) == 2 and shape[1] > 1:
        raise InputError(f"{path}: {field} has {shape[1]} labels an image; one is needed")
    if shape not in ((len_images,), (len_images, 1)):
        raise InputError(
            f"{path}: {field} has shape {list(shape)} for {len_images} images; "
            f"need [{len_images}] or [{len_images}, 1]"
        )


def _parts(path: str | Path, shapes: dict, size, headers) -> tuple[dict[str, Part], list[str]]:
    (height, width, channels), dtype = shapes["train"], headers["train_images"][1]
    kept = (*(size or (height, width)), min(3, channels))
    count = sum(headers[f"{split}_images"][0][0] for split in shapes)
    if count * math.prod(kept) > safe.MAX_BYTES:
        raise InputError(
            f"{path}: {count:,} images of {by(kept[:2])} pixels take too much memory; use a smaller --side"
        )
    white, lines = 255, []
    if dtype.kind == "f":
        white = 1
        lines.append(f"{path}: {dtype} pixels in [0, 1] became whole numbers from 0 to 255")
    elif dtype == np.uint16:
        blocks = (b for s in shapes for b in safe.npz_blocks(path, f"{s}_images", _ROWS))
        white, said = sizes.white(max(int(block.max()) for block in blocks))
        lines.append(f"{path}: {said}")
    if channels == 4:
        lines.append(f"{path}: the alpha channel was dropped")
    if kept[:2] != (height, width):
        lines.append(
            f"{path}: images of {height}x{width} pixels were scaled to {by(kept[:2])}, whole, on black where their "
            "shape is another"
        )
    groups = {s: _groups(path, s, headers) for s in shapes if f"{s}_groups" in headers}
    parts = {}
    for split in shapes:
        images, first = np.empty((headers[f"{split}_images"][0][0], *kept), np.uint8), 0
        for block in safe.npz_blocks(path, f"{split}_images", _ROWS):
            if dtype.kind == "f" and not (block.min() >= 0 and block.max() <= 1):  # nor NaN
                raise InputError(
                    f"{path}: {split}_images is {dtype} and not in [0, 1]; store uint8 pixels, 0 to 255, without NaN"
                )
            block = block.reshape(len(block), *shapes[split])[..., : kept[2]]
            images[first : first + len(block)] = _bytes(block, white, kept[:2])
            first += len(block)
        parts[split] = Part(images, _labels(path, f"{split}_labels"), groups.get(split))
    return parts, lines


def _bytes(images: np.ndarray, white: int, size: tuple[int, ...]) -> np.ndarray:
    """uint8 [n, *size, C]."""
    if images.dtype == np.uint8:
        return sizes.fit_all(images, *size)
    if images.shape[1:3] != size:
        images = np.stack([sizes.fit(image, *size) for image in images])
    return np.round(images * (255 / white)).astype(np.uint8)


def _labels(path: str | Path, field: str) -> np.ndarray:
    labels = safe.npz_array(path, field).ravel()
    if labels.dtype.kind in "SU":
        labels = _text(path, field, labels)
        if (labels == "").any():
            raise InputError(f"{path}: {field} holds an empty label; name every class")
        return labels
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise InputError(f"{path}: {field} holds {wrong}; number the classes from 0")
    return labels.astype(np.int32)


def _text(path: str | Path, field: str, values: np.ndarray) -> np.ndarray:
    """Values as text without spaces around them."""
    if values.dtype.kind == "S":
        with safe.one_line(path, f"an .npz whose {field} are in UTF-8"):
            values = np.char.decode(values, "utf-8")
    return np.char.strip(values.astype(str))


def _groups(path: str | Path, split: str, headers) -> np.ndarray:
    field = f"{split}_groups"
    (shape, dtype), n = headers[field], headers[f"{split}_images"][0][0]
    if dtype.kind not in "iuSU" or shape not in ((n,), (n, 1)):
        raise InputError(
            f"{path}: {field} is {dtype} {list(shape)}; need one integer or text id for each of the {n} {split}_images"
        )
    ids = _text(path, field, safe.npz_array(path, field).ravel())
    if (ids == "").any():
        raise InputError(
            f"{path}: {field} holds an empty id: one patient of several; give each image an id"
        )
    return ids
