"""A DICOM file to 8-bit pixels and the patient it is of, by pydicom: the extra `dicom`. Nothing else of it is kept.

Stored values are rescaled (modality), windowed and inverted where the header says so, in this order (PS3.3, C.11).
Without a window the whole range of the stored bits becomes 0 to 255, so that equal tissue stays equal from slice to
slice.
"""

from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import pictures


def read(path: Path) -> pictures.Picture:
    """The image of a file, uint8 [h, w, 1 or 3], and its PatientID. Raises Unreadable, or what pydicom raises.

    Raises InputError where pydicom is not installed.
    """
    try:
        import pydicom  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as error:
        raise InputError(
            f"{path}: DICOM needs the extra `dicom` (uv sync --extra dicom, or pip install pydicom)"
        ) from error
    header = pydicom.dcmread(path, force=True)
    if "PixelData" not in header:
        raise pictures.Unreadable("no pixels in it")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise pictures.Unreadable("several frames; store one image a file")
    pictures.refuse_large(int(header.Rows), int(header.Columns))
    patient = str(header.get("PatientID") or "").strip()
    return pictures.Picture(_pixels(pydicom, header), patient=patient)


def _pixels(pydicom, header) -> np.ndarray:
    if header.PhotometricInterpretation == "PALETTE COLOR":
        values = pydicom.pixels.apply_color_lut(header.pixel_array, header)
        return (values >> 8 if values.dtype == np.uint16 else values).astype(np.uint8)
    if header.SamplesPerPixel == 3:  # pydicom makes RGB of what is stored otherwise
        values = header.pixel_array
        return (values >> max(0, int(header.BitsStored) - 8)).astype(np.uint8)
    signed = bool(header.PixelRepresentation)
    stored = np.array([0, 2 ** int(header.BitsStored) - 1], float)
    stored -= signed * 2 ** (int(header.BitsStored) - 1)
    values = pydicom.pixels.apply_modality_lut(header.pixel_array, header).astype(float)
    slope = float(header.get("RescaleSlope", 1))
    intercept = float(header.get("RescaleIntercept", 0))
    whole = np.sort(slope * stored + intercept)  # of all values that can be stored
    centre, width = _window(header, whole)
    # In [0, 1]: PS3.3, C.11.2.1.2.1, the linear window.
    if width == 1:
        light = (values > centre - 0.5).astype(float)
    else:
        light = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)
    if header.PhotometricInterpretation == "MONOCHROME1":  # the lowest value is white
        light = 1.0 - light
    return np.round(255 * light).astype(np.uint8)[..., None]


def _window(header, whole: np.ndarray) -> tuple[float, float]:
    """(centre, width) of the first window; of all values where there is none."""
    centre, width = (header.get(f"Window{name}") for name in ("Center", "Width"))
    if centre is None or width is None:
        return float(whole.sum() + 1) / 2, float(whole[1] - whole[0]) + 1
    first = [float(np.atleast_1d(value)[0]) for value in (centre, width)]  # there may be several
    return first[0], max(1.0, first[1])
