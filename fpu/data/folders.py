"""Folders of images: read to one size (which files: listing.py), and written with one subfolder for each class.

What is written is what torchvision's ImageFolder and torch-fidelity read.
"""

import contextlib
import functools
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fpu import InputError
from fpu.data import listing, pictures, sizes
from fpu.files import safe

_NAMED = 5  # unreadable files in a refusal


class Folder(NamedTuple):
    """The images of a folder: train, then val, then test."""

    entries: tuple[listing.Entry, ...]  # of the images that could be read
    images: np.ndarray  # uint8 [n, H, W, C]; C is 3 where any file is in colour
    patients: tuple[str | None, ...]  # PatientID of DICOM files; None of others
    lines: tuple[str, ...]  # what was done that should be known


def read(folder: Path, height: int, width: int, skip_unreadable: bool = False) -> Folder:
    """All images of a folder, resized by sizes.fit. Files that are unreadable are refused, or left out and named.

    8-bit pixels stay as they are. Those of 16 bits are divided by the largest value of the scanner's bits, which are
    10, 12, 14 or 16: the fewest that hold every value of the set. An alpha channel is dropped.
    Raises InputError for a folder without images, links out of it, unreadable files.
    """
    entries, lines = listing.entries(folder)
    if 3 * len(entries) * height * width > safe.MAX_BYTES:
        raise InputError(
            f"{folder}: {len(entries):,} images of {height}x{width} pixels take too much memory; use a smaller --side"
        )
    stamps = []
    for entry in entries:
        with contextlib.suppress(OSError):  # a file that is not there is unreadable, as others are
            stamps.append((entry.name, entry.path.stat().st_size, entry.path.stat().st_mtime_ns))
    decoded = _decoded(tuple(entries), tuple(stamps), height, width)
    bad, kept = [], []
    for entry in entries:
        (bad if isinstance(decoded[entry.name], str) else kept).append(entry)
    if bad and (not skip_unreadable or not kept):
        raise InputError(f"{folder}: {_listed(bad, decoded)}; mend them, or add --skip_unreadable")
    if bad:
        lines.append(f"left out: {_listed(bad, decoded)}")
    made = [decoded[entry.name] for entry in kept]
    images, more = _joined(made)
    return Folder(tuple(kept), images, tuple(p.patient for p in made), (*lines, *more))


def _listed(bad: Sequence[listing.Entry], decoded: dict) -> str:
    named = ", ".join(f"{entry.name} ({decoded[entry.name]})" for entry in bad[:_NAMED])
    more = f" and {len(bad) - _NAMED:,} others" if len(bad) > _NAMED else ""
    return f"{len(bad):,} {'file is' if len(bad) == 1 else 'files are'} unreadable: {named}{more}"


class _Decoded(NamedTuple):
    pixels: np.ndarray  # float32 [H, W, C] on the file's own scale
    deep: bool  # of 16 bits
    largest: int  # value of the file, before it was resized
    size: tuple[int, ...]  # of the file
    had_alpha: bool
    patient: str | None


@functools.lru_cache(maxsize=1)  # the runs of a sweep read the same folder
def _decoded(entries: tuple[listing.Entry, ...], stamps: tuple, height: int, width: int) -> dict:
    """{name: _Decoded, or in words why the file is unreadable}. stamps: sizes and times, so that a change is seen."""
    del stamps
    return {entry.name: _one(entry.path, height, width) for entry in entries}


def _one(path: Path, height: int, width: int) -> "_Decoded | str":
    try:
        picture = pictures.read(path)
    except InputError:
        raise
    except MemoryError:
        return "too large for the memory"
    except Exception as error:  # every decoder raises its own
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return " ".join(words.split())[:120] or type(error).__name__
    pixels = picture.pixels
    fitted = sizes.fit(pixels, height, width)
    deep = pixels.dtype == np.uint16
    # Grey images of 8 bits are most; bytes take a quarter of the memory.
    kept = fitted if deep else np.round(fitted).astype(np.uint8)
    largest, size = int(pixels.max()), pixels.shape[:2]
    return _Decoded(kept, deep, largest, size, picture.had_alpha, picture.patient)


def _joined(made: Sequence[_Decoded]) -> tuple[np.ndarray, list[str]]:
    """(uint8 [n, H, W, C], lines)."""
    lines, white = [], 255
    if deep := [one.largest for one in made if one.deep]:
        white, said = sizes.white(max(deep))
        lines.append(said)
    channels = [one.pixels.shape[2] for one in made]
    if len(set(channels)) > 1:
        lines.append(
            f"{channels.count(1):,} images are grey and {channels.count(3):,} RGB: all become RGB"
        )
    if alpha := sum(one.had_alpha for one in made):
        lines.append(f"an alpha channel was dropped from {alpha:,} images")
    shape = made[0].pixels.shape[:2]
    others = sorted({one.size for one in made if one.size != shape})
    if others:
        found = f"{sizes.by(others[0])}" + (f" to {sizes.by(others[-1])}" if others[1:] else "")
        lines.append(
            f"images of {found} pixels were scaled to {sizes.by(shape)}, whole, on black where their shape is another"
        )
    images = np.empty((len(made), *shape, max(channels)), np.uint8)
    for i, one in enumerate(made):
        images[i] = np.round(one.pixels * (255 / white)) if one.deep else one.pixels
    return images, lines


def save_folder(
    folder: str | Path, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> None:
    """Write FOLDER/CLASS/NUMBER.png, whole or not at all; CLASS begins with the label, so that names sort by it.

    Args:
      folder: absent or empty.
      images: uint8 [n, H, W, C]; C is 1 (grey) or 3 (RGB).
      labels: ints [n]; positions in class_names. Classes without an image get no subfolder.

    Raises InputError where the folder holds something or cannot be written.
    """
    folder = Path(folder)
    refuse_full(folder)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        for label in np.unique(labels):
            (part / subfolder(int(label), class_names)).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = part / subfolder(int(label), class_names) / f"{number:07d}.png"
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path)
        part.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot write here ({error.strerror})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_full(folder: Path) -> None:
    """InputError where `folder` is a file, or a folder with something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already and not empty; name another folder")


def subfolder(label: int, class_names: Sequence[str]) -> str:
    """The name that `save_folder` gives to the images of a class."""
    number = f"{label:0{len(str(len(class_names) - 1))}d}"
    name = re.sub(r"\W+", "_", class_names[label]).strip("_")[:60]
    return number if name in ("", str(label)) else f"{number}-{name}"
