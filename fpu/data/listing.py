"""What is in a folder of images: one subfolder a class, or a CSV file that names file, label, group and split.

Nothing is decoded here. Names are compared in Unicode's composed form: some systems write them decomposed.
"""

import collections
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fpu import InputError
from fpu.data import pictures
from fpu.data.dataset import SPLITS
from fpu.data.groups import refuse_patients
from fpu.files import tables

_SPLITS_BY_NAME = {name: name for name in SPLITS} | {"valid": "val", "validation": "val"}
MOST_FILES = 10**6
_MEANINGS = {
    "file": ("file", "filename", "file_name", "path", "image"),
    "label": ("label", "class"),
    "group": ("group",),
    "split": ("split",),
}


class Entry(NamedTuple):
    """One image of a folder."""

    path: Path
    name: str  # below the folder, with /
    label: str
    split: str  # one of SPLITS
    group: str | None


def entries(folder: Path) -> tuple[list[Entry], list[str]]:
    """(images: train, then val, then test, each in the order of names or of the CSV; what is to be said, in lines).

    With subfolders a file's class is the first folder below FOLDER, or below FOLDER/train, FOLDER/val and
    FOLDER/test where the subfolders are these. Raises InputError for a link that leads out of the folder and for a
    folder without images.
    """
    files, others = _files(folder)
    lists = sorted(name for name in others if "/" not in name and name.lower().endswith(".csv"))
    if len(lists) > 1:
        raise InputError(f"{folder}: has several .csv files ({', '.join(lists)}); leave one in it")
    if lists:
        found, lines = _of_table(folder, others[lists[0]], files)
        del others[lists[0]]
    else:
        found, lines = _of_subfolders(folder, files), []
    kinds = collections.Counter(PurePosixPath(name).suffix or "no suffix" for name in others)
    if kinds:
        named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(4))
        lines.append(f"files that are no images are left out: {named}")
    return sorted(found, key=lambda entry: SPLITS.index(entry.split)), lines


def _files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """({name: path} of images, of other files), by name; hidden files are not looked at."""
    root, images, others = folder.resolve(), {}, {}
    for path in _walk(folder, root):
        name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        image = path.suffix.lower() in pictures.SUFFIXES or _is_dicom(path)
        (images if image else others)[name] = path
        if len(images) > MOST_FILES:
            raise InputError(f"{folder}: holds more than {MOST_FILES:,} images")
    return dict(sorted(images.items())), others


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    """Regular files; a link is followed where it stays below `root`, to a file."""

    def refuse(error: OSError):
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    for place, below, files in os.walk(folder, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        for path in (Path(place, name) for name in (*below, *files) if not name.startswith(".")):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise InputError(f"{path}: is a link out of {folder}; copy the file into it")
            if path.is_file():
                yield path


def _is_dicom(path: Path) -> bool:
    """Many DICOM files have no suffix, or a number for one."""
    suffix = path.suffix.lower()
    if suffix and not suffix[1:].isdecimal():
        return False
    try:
        return pictures.is_dicom(path)
    except OSError:
        return False


def _of_subfolders(folder: Path, files: dict[str, Path]) -> list[Entry]:
    parts = {name: name.split("/") for name in files}
    in_splits = bool(parts) and {p[0].lower() for p in parts.values()} <= set(_SPLITS_BY_NAME)
    found = []
    for name, path in files.items():
        split = _SPLITS_BY_NAME[parts[name].pop(0).lower()] if in_splits else "train"
        if len(parts[name]) < 2:
            raise InputError(
                f"{path}: lies in no subfolder of a class; make one subfolder a class, or a CSV with the columns "
                "file and label"
            )
        found.append(Entry(path, name, parts[name][0], split, None))
    if not found:
        kinds = ", ".join(pictures.SUFFIXES)
        raise InputError(f"{folder}: holds no image ({kinds}); make one subfolder a class")
    return found


def _of_table(folder: Path, path: Path, files: dict[str, Path]) -> tuple[list[Entry], list[str]]:
    columns, rows = tables.read(path)
    meant = _columns(path, columns)
    found, seen, lines = [], set(), []
    for number, row in rows:
        cells = {meaning: row[column] for meaning, column in meant.items()}
        name = _inside(path, number, cells["file"])
        if name in seen:
            raise InputError(f"{path}, line {number}: {name} is there twice")
        seen.add(name)
        for meaning in ("label", "group"):
            if cells.get(meaning) == "":
                raise InputError(
                    f"{path}, line {number}: its {meaning} is empty; fill it in, or leave the line out"
                )
        split = _SPLITS_BY_NAME.get(cells.get("split", "").lower() or "train")
        if split is None:
            raise InputError(
                f"{path}, line {number}: split is {cells['split']}; write train, val or test"
            )
        file = files.get(name, folder / name)  # one that is not there is unreadable, as any other
        found.append(Entry(file, name, cells["label"], split, cells.get("group")))
    if not found:
        raise InputError(f"{path}: lists no image")
    if unlisted := len(files.keys() - seen):
        lines.append(f"{unlisted:,} images that {path.name} does not list are left out")
    ignored = [column for column in columns if column not in meant.values()]
    lines += [f"{path.name}: not used: {', '.join(ignored)}"] if ignored else []
    return found, lines


def _columns(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """{meaning: column}. InputError where one is missing, and where patients may stand in one of another name."""
    found = {meaning: [n for n in names if n in columns] for meaning, names in _MEANINGS.items()}
    meant = {meaning: some[0] for meaning, some in found.items() if some}
    for meaning in ("file", "label"):
        if meaning not in meant:
            raise InputError(
                f"{path}: no column {meaning} (it has {', '.join(columns)}); the columns are file, label, and "
                "optionally group and split"
            )
    if "group" not in meant:
        refuse_patients(path, [c for c in columns if c not in meant.values()], "column", "group")
    return meant


def _inside(path: Path, number: int, text: str) -> str:
    """The name of a file below the folder, with / and composed. InputError for one that leads out of it."""
    name = PurePosixPath(unicodedata.normalize("NFC", text.replace("\\", "/")))
    if not text or name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", text):
        raise InputError(
            f"{path}, line {number}: file is {text or 'empty'}; write a name below the folder"
        )
    return str(name)
