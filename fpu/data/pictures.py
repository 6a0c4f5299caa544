"""One image file to pixels: PNG, JPEG and TIFF by Pillow, DICOM by pydicom (dicom.py).

Files come from users: only these four formats are decoded, and the size that a header claims is bounded before any
pixel is.
"""

import contextlib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")
MOST_PIXELS = 2**26  # of one image: 8,192 x 8,192
_FORMATS = ("PNG", "JPEG", "TIFF")


class Unreadable(Exception):
    """A file that holds no image of these formats, in a few words without its name."""


class Picture(NamedTuple):
    """What is kept of a file: nothing of its header but the patient, who becomes a group."""

    pixels: np.ndarray  # [h, w, C], C 1 or 3: uint8, or uint16 on the scale of the scanner
    had_alpha: bool = False
    patient: str | None = None


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark, whatever its name."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def refuse_large(height: int, width: int) -> None:
    """Unreadable for a header that claims more than MOST_PIXELS."""
    if height * width > MOST_PIXELS:
        raise Unreadable(f"{width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are decoded")


def read(path: Path) -> Picture:
    """The image of a file. Raises Unreadable, or whatever a decoder raises on a damaged file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata, which is not kept; sizes are bounded here
        if path.suffix.lower() == ".dcm" or is_dicom(path):
            from fpu.data import dicom  # an extra

            return dicom.read(path)
        try:
            opened = Image.open(path, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise Unreadable(f"more than {MOST_PIXELS:,} pixels") from error
        except Image.UnidentifiedImageError as error:
            raise Unreadable("no PNG, JPEG, TIFF or DICOM") from error
        with opened as image:
            refuse_large(image.height, image.width)
            if image.format != "MPO":  # a JPEG with previews behind it
                with contextlib.suppress(EOFError):
                    image.seek(1)
                    raise Unreadable("several pages; store one image a file")
            alpha = image.has_transparency_data
            pixels = _pixels(ImageOps.exif_transpose(image))
    return Picture(pixels if pixels.ndim == 3 else pixels[..., None], alpha)


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 or uint16, [h, w] or [h, w, 3]; an alpha channel is dropped."""
    mode = image.mode
    if mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    if mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"):
        return np.asarray(image.convert("RGB"))
    values = np.asarray(image)
    if mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise Unreadable("floats outside [0, 1]; store 8 or 16 bits")
        return np.round(255 * values).astype(np.uint8)
    if mode.startswith("I"):
        if not 0 <= values.min() <= values.max() < 2**16:
            raise Unreadable(f"values {values.min()} to {values.max()}; store 0 to 65,535")
        return values.astype(np.uint16)
    raise Unreadable(f"pixels of kind {mode}; store grey or RGB, 8 or 16 bits")
