"""Images as PNG files in one subfolder for each class: what torchvision's ImageFolder and torch-fidelity read."""

import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fpu import InputError


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
            (part / _subfolder(int(label), class_names)).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = part / _subfolder(int(label), class_names) / f"{number:07d}.png"
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


def _subfolder(label: int, class_names: Sequence[str]) -> str:
    number = f"{label:0{len(str(len(class_names) - 1))}d}"
    name = re.sub(r"\W+", "_", class_names[label]).strip("_")[:60]
    return number if name in ("", str(label)) else f"{number}-{name}"
