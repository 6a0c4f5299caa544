"""Data of the user's own: an .npz in MedMNIST's format, or a folder of images."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import folders, groups, npz, sizes, sources
from fpu.data.dataset import Dataset, grouped, join, numbered
from fpu.data.subsets import SPLITS, TRAIN
from fpu.files import safe


def read_npz(path: Path, side: int | None) -> Dataset:
    parts, lines = npz.read(path, size=None if side is None else (side, side))
    md5 = safe.file_md5(path)
    if path.stem in sources.MEDMNIST_NAMES and md5 == sources.facts(path.stem)["md5"]:
        facts = sources.facts(path.stem)
        return join(path.stem, parts, facts["class_names"], facts["citation"], lines)
    labels = {split: part.labels for split, part in parts.items()}
    names, numbers = numbered(path, labels, "{}_labels")
    parts = {split: part._replace(labels=numbers[split]) for split, part in parts.items()}
    return join(path.stem, parts, names, f"own file {path.name}, md5 {md5}", lines)


def read_folder(
    path: Path, side: int | None, skip_unreadable: bool, groups_file: Path | None
) -> Dataset:
    """The images of a folder. Groups are those of --groups, else of its CSV, else the patients of DICOM files."""
    side = side or sizes.DEFAULT_SIDE
    read = folders.read(path, side, side, skip_unreadable)
    split = np.array([SPLITS.index(entry.split) for entry in read.entries], np.int8)
    labels = np.array([entry.label for entry in read.entries])
    by_split = {name: labels[split == s] for s, name in enumerate(SPLITS) if (split == s).any()}
    names, numbers = numbered(path, by_split, "{}")
    name = path.resolve().name or "folder"
    digest = hashlib.sha256(read.images.data).hexdigest()[:16]
    source = f"own folder {name}, SHA-256 of its pixels {digest}..."
    dataset = Dataset(
        name, read.images, np.concatenate(list(numbers.values())), split, None, names, source, read.lines
    )  # fmt: skip
    counts = zip(names, np.bincount(dataset.labels), strict=True)
    total = f"{len(split):,} images in {name}: {', '.join(f'{k} {n:,}' for k, n in counts)}"
    dataset = replace(dataset, notes=(total, *dataset.notes))
    if groups_file is not None:
        names_of_files = [entry.name for entry in read.entries]
        return grouped(dataset, groups.read(groups_file, split, names_of_files))
    ids = [
        entry.group or patient for entry, patient in zip(read.entries, read.patients, strict=True)
    ]
    return _with_patients(path, dataset, ids)


def _with_patients(path: Path, dataset: Dataset, ids: list[str | None]) -> Dataset:
    """The data set with the groups that a CSV or DICOM headers name, where they name one for every train image."""
    if not any(ids):
        dicom = [i for i in ids if i is not None]
        line = "no DICOM file has a PatientID: every image counts as another patient, unless --groups names them"
        return replace(dataset, notes=(*dataset.notes, line)) if dicom else dataset
    lacking = sum(not i for i, s in zip(ids, dataset.split, strict=True) if s == TRAIN)
    if lacking:
        raise InputError(
            f"{path}: {lacking:,} train images have no patient (group, or PatientID of DICOM), others have; name them "
            "all with --groups=FILE.csv"
        )
    return grouped(dataset, np.array([i or "" for i in ids]))
