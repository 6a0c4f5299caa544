"""--groups: a CSV file that says which images are of one patient or scan, so that these are protected together.

Columns: `file` (of a folder's images) or `index` (0, 1, ... within the split), `group`, and optionally `split`. The
files that MedMNIST publishes for OrganAMNIST, OrganCMNIST and OrganSMNIST (split, index, image_id) are read as they
are: image_id is SPLIT-SCAN-LABEL-VIEW-SLICE, and the scan is the group.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data.dataset import SPLITS
from fpu.files import tables

_ORGAN = re.compile(r"(\w+-\d+)-\d+-(?:axial|coronal|sagittal)-\d+")
_LOOKS_LIKE_GROUPS = re.compile(
    r"group|patient|subject|person|participant|individual|scan|study|series|volume|case|(^|_)(p|s|u)id(s|$)|mrn",
    re.IGNORECASE,
)


def read(path: Path, split: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """The id of each image, text [N]; "" where the file says none, which val and test may have.

    Args:
      split: int8 [N], 0 train, 1 val, 2 test: of the data set.
      names: of the images' files, below their folder; None for data that are no folder.

    Raises InputError for a train image without a group, an image that is not there, and one with two groups.
    """
    columns, rows = tables.read(path)
    by = "file" if "file" in columns and names is not None else "index"
    if by not in columns or not {"group", "image_id"} & set(columns):
        wanted = "file" if names is not None else "index"
        raise InputError(
            f"--groups={path}: needs the columns {wanted} and group; it has {', '.join(columns)}"
        )
    if by == "file":
        places = {(name,): i for i, name in enumerate(names or ())}
    else:
        places = {
            (name, i): place
            for s, name in enumerate(SPLITS)
            for i, place in enumerate(np.flatnonzero(split == s))
        }
    ids = np.full(len(split), "", object)
    for number, row in rows:
        where = f"--groups={path}, line {number}"
        key = _key(row, by)
        if key not in places:
            raise InputError(
                f"{where}: the data have no image {row[by]} ({' '.join(map(str, key))})"
            )
        if "group" in columns:
            group = row["group"]
        elif scan := _ORGAN.fullmatch(row["image_id"].removesuffix(".png")):
            group = scan[1]
        else:
            raise InputError(
                f"{where}: image_id {row['image_id']} does not say which scan it is of; add a column group"
            )
        if not group:
            raise InputError(
                f"{where}: its group is empty, which would make one patient of several"
            )
        if ids[places[key]] not in ("", group):
            raise InputError(f"{where}: {row[by]} is in two groups, {ids[places[key]]} and {group}")
        ids[places[key]] = group
    lacking = np.flatnonzero((split == 0) & (ids == ""))
    if len(lacking):
        before = int((split[: lacking[0]] == 0).sum())
        first = f"index {before}" if names is None else names[lacking[0]]
        raise InputError(
            f"--groups={path}: {len(lacking):,} of {(split == 0).sum():,} train images have no group, the first is "
            f"{first}; give each one"
        )
    return ids.astype(str)


def _key(row: dict[str, str], by: str) -> tuple:
    if by == "file":
        return (unicodedata.normalize("NFC", row["file"].replace("\\", "/")),)
    text = row["index"]
    return row.get("split") or "train", int(text) if text.isdecimal() and len(text) < 10 else text


def refuse_patients(path: str | Path, names: Sequence[str], kind: str, wanted: str) -> None:
    """InputError for the first of `names` that looks like groups: ignored, it would change the guarantee.

    Args:
      names: of what a file holds and is not read.
      kind: "array" or "column".
      wanted: the name under which groups are read.
    """
    for name in names:
        if _LOOKS_LIKE_GROUPS.search(name):
            raise InputError(
                f"{path}: its {kind} {name} looks like patients, and is not read under that name: several images of "
                f"one patient would not be protected together; rename it to {wanted}, or remove it"
            )
