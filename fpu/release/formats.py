"""The images of a release a second time, as files that other programs open: a PNG each, by class, and a CSV of labels.

    images/train/CLASS/NUMBER.png    CLASS begins with the label, NUMBER is the place in synthetic.npz
    labels.csv                       file,label,class

Hugging Face datasets, torchvision's ImageFolder and tensorflow-datasets' ImageFolder read the first, pandas and pyarrow
the second; texts.py tells how.
"""

import csv
import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fpu import InputError
from fpu.data import folders, save_folder
from fpu.files import safe

IMAGES, LABELS = "images", "labels.csv"
_TRAIN = f"{IMAGES}/train"
_HEAD = ("file", "label", "class")
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"sBIT", b"tRNS"}


def write(folder: Path, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Write both. images, labels: uint8 [n, H, W, C] and ints [n]."""
    (folder / IMAGES).mkdir()
    save_folder(folder / _TRAIN, images, labels, class_names)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_HEAD)
    for i, label in enumerate(labels):
        name = folders.subfolder(int(label), class_names)
        rows.writerow([f"{_TRAIN}/{name}/{i:07d}.png", int(label), class_names[label]])
    safe.write_text(folder / LABELS, text.getvalue())


def scan(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Refuse files and rows that are not those of `images` and `labels`, and whatever lies beside them."""
    path = folder / LABELS
    with safe.one_line(path, "a list of images and labels"):
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        if tuple(head) != _HEAD or len(rows) != len(labels):
            raise ValueError("other columns, or another number of rows")
        if len({(label, name) for _, label, name in rows}) != len({label for _, label, _ in rows}):
            raise ValueError("a class has several names")
    expected = {IMAGES, _TRAIN}
    for i, (name, label, _) in enumerate(rows):
        parent, slash, _ = name.removeprefix(f"{_TRAIN}/").partition("/")
        number = parent.partition("-")[0]
        fits = number.isdecimal() and int(number) == labels[i] and label == str(labels[i])
        if not fits or name != f"{_TRAIN}/{parent}{slash}{i:07d}.png" or ".." in parent:
            raise InputError(f"{path}: row {i + 1} is not of image {i}")
        expected |= {f"{_TRAIN}/{parent}", name}
    for place, names, files in os.walk(folder / IMAGES):
        for found in (Path(place) / name for name in (*names, *files)):
            if str(found.relative_to(folder)) not in expected or found.is_symlink():
                raise InputError(f"{found}: does not belong into a release; remove it")
    for (name, *_), image in zip(rows, images, strict=True):
        scan_png(folder / name)
        with safe.one_line(folder / name, "an image of the release"):
            with Image.open(folder / name) as picture:
                pixels = np.asarray(picture)
            if not np.array_equal(pixels, image[..., 0] if image.shape[-1] == 1 else image):
                raise ValueError("it is another image than in the .npz")


def scan_png(path: Path) -> None:
    """A PNG of pixels alone: no comment, no metadata, nothing after its end. Raises InputError."""
    with safe.one_line(path, "a PNG of pixels alone"):
        data, at, kind = path.read_bytes(), 8, b""
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError("no PNG")
        while at < len(data):
            (length,) = struct.unpack(">I", data[at : at + 4])
            kind = data[at + 4 : at + 8]
            if kind not in _PNG_CHUNKS:
                raise ValueError(f"it holds {kind!r}")
            at += 12 + length  # 4 bytes of length, 4 of kind, the data, 4 of checksum
        if at != len(data) or kind != b"IEND":
            raise ValueError("it goes on after its end")
