"""The scan of a release: names, structure and sizes of everything in it, before it gets its name.

It looks at the release alone, never at the real images.
"""

import json
import struct
from pathlib import Path

from fpu import InputError
from fpu.baselines import RELEASES
from fpu.data import npz
from fpu.dp.plan import Plan
from fpu.files import safe
from fpu.release import generators, texts

IMAGES, PICTURE, GUARANTEE = "synthetic.npz", "samples.png", "privacy.json"
FILES = (IMAGES, PICTURE, generators.NUMBERS, generators.FACTS, GUARANTEE)
TEXTS = ("PRIVACY.md", "DATASHEET.md")
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"sBIT", b"tRNS"}


def scan(folder: Path, find: generators.Find = generators.BUILT_IN) -> None:
    """Refuse a release that holds anything it should not. `find`: see generators.load.

    Raises InputError: a file, array, field or picture comment that does not belong there (keys, optimizer state,
    indices of members, measurements on private data), numbers that are not finite, a generator that cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if path.name not in (*FILES, *TEXTS) or path.is_symlink() or not path.is_file():
            raise InputError(f"{path}: does not belong into a release; remove it")
    _scan_images(folder / IMAGES)
    _scan_picture(folder / PICTURE)
    numbers = folder / generators.NUMBERS
    if numbers.exists():
        model = generators.load(folder, find).model
        parameters = RELEASES[model].PARAMETERS if model in RELEASES else ("private", "public")
        for name in safe.npz_names(numbers, generators.MOST):
            if name.split("/")[0] not in parameters:
                raise InputError(f"{numbers}: {name} is not of a generator")
    with safe.one_line(folder / GUARANTEE, "the guarantee of a release"):
        guarantee = json.loads((folder / GUARANTEE).read_text(encoding="utf-8"))
        if set(guarantee) != set(texts.privacy(Plan(0.5, ()), False)):
            raise ValueError("its fields are not those of fpu")


def _scan_images(path: Path) -> None:
    fields = [f"{split}_{part}" for split in npz.SPLITS for part in ("images", "labels")]
    if sorted(safe.npz_names(path, len(fields))) != sorted(fields):
        raise InputError(f"{path}: holds other arrays than synthetic images and labels")
    headers = safe.npz_headers(path, fields)
    for field in fields[2:]:
        if headers[field][0][:1] != (0,):
            raise InputError(f"{path}: {field} is not empty: val and test would be real images")
    npz.load_images(path)


def _scan_picture(path: Path) -> None:
    """A PNG of pixels alone: no comment, no metadata, nothing after its end."""
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
