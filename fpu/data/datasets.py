"""Data sets: DATASETS has one entry each; an .npz in MedMNIST's format or a folder of images is named by its path.

A Dataset is all images of a file; `partition` (fpu/data/subsets.py) chooses those that a run trains on. To add a
data set, write a function data_dir -> Dataset and give it a line in DATASETS.
"""

import difflib
import functools
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fpu import InputError, nearest
from fpu.data import folders, npz, sizes, sources
from fpu.data import groups as group_files
from fpu.data.dataset import SPLITS, TEST, TRAIN, Dataset, Part, grouped, join, numbered
from fpu.files import safe


def load(
    name: str | Path,
    data_dir: str | Path | None = None,
    *,
    side: int | None = None,
    groups: str | Path | None = None,
    skip_unreadable: bool = False,
) -> Dataset:
    """Load a data set by name, an .npz file in MedMNIST's format, or a folder of images by its path.

    Args:
      name: a key of DATASETS; a path ending in .npz (npz.py says what it may hold); a folder (listing.py says which
        files of it are read, pictures.py in which formats).
      data_dir: folder to look in first for mnist's files or a MedMNIST .npz.
      side: images become squares of this many pixels by the rule of sizes.fit. None: those of a folder, and those
        with a side above 64, of 28; others stay as they are.
      groups: CSV file that says which images are of one patient or scan (groups.py): the unit that is protected.
      skip_unreadable: leave unreadable files of a folder out, instead of refusing it.

    Raises InputError, one line, for an unknown name, a file that is absent, damaged, not official
    under an official name, or of another format.
    """
    name = str(name)
    folder = None if data_dir is None else Path(data_dir).expanduser()
    if folder is not None and not folder.is_dir():
        raise InputError(f"--data_dir={folder}: no such folder")
    if side is not None and not sizes.MIN_SIDE <= side <= sizes.MAX_SIDE:
        raise InputError(f"--side={side}: must be {sizes.MIN_SIDE} to {sizes.MAX_SIDE} pixels")
    of_groups = None if groups is None else Path(groups).expanduser()
    path = Path(name).expanduser()
    if name in sources.MEDMNIST_NAMES:
        dataset = _medmnist(name, folder, side)
    elif name in DATASETS:
        dataset = DATASETS[name](folder)
    elif path.is_dir() and name:
        return _folder(path, side, skip_unreadable, of_groups)
    elif name.endswith(".npz") or path.is_file():
        dataset = _own_npz(path, side)
    else:
        raise InputError(_unknown(name))
    if side is not None and dataset.shape[:2] != (side, side):
        line = f"images of {sizes.by(dataset.shape[:2])} pixels were scaled to {side}x{side}"
        images = sizes.fit_all(dataset.images, side, side)
        dataset = replace(dataset, images=images, notes=(*dataset.notes, line))
    if of_groups is None:
        return dataset
    if dataset.groups is not None:
        raise InputError(
            f"--groups={of_groups}: {dataset.name} has train_groups already; leave one of the two out"
        )
    return grouped(dataset, group_files.read(of_groups, dataset.split))


def _unknown(name: str) -> str:
    """Why --dataset=name is refused, and what is nearest."""
    if not name:
        return "--dataset= is empty: write a name such as digits, or the path of a folder or an .npz file"
    if "/" in name or "\\" in name or name.startswith("~"):
        path = Path(name).expanduser()
        place = next((p for p in path.parents if p.is_dir()), Path())
        lost = path.relative_to(place).parts[0] if path != place else name
        near = difflib.get_close_matches(lost, [p.name for p in place.iterdir()], n=1, cutoff=0.5)
        hint = f"; the nearest in {place} is {near[0]}" if near else f"; {place} has no {lost}"
        return f"--dataset={name}: no such file or folder{hint}"
    base = name.lower().partition("_")[0]
    if base == "chestmnist" or base.endswith("mnist3d"):
        kind = "3-D" if base.endswith("3d") else "multi-label"
        return f"--dataset={name} is {kind}: 2-D images with one label each are needed"
    known = nearest(name, [known for known in DATASETS if "_" not in known])
    return f"--dataset={name} is unknown: {known}; the path of a folder or an .npz file works too"


def _own_npz(path: Path, side: int | None) -> Dataset:
    """An .npz by its path; with the official md5 of a set of MedMNIST it is that set."""
    parts, lines = npz.read(path, size=None if side is None else (side, side))
    md5 = safe.file_md5(path)
    if path.stem in sources.MEDMNIST_NAMES and md5 == sources.facts(path.stem)["md5"]:
        facts = sources.facts(path.stem)
        return join(path.stem, parts, facts["class_names"], facts["citation"], lines)
    labels = {split: part.labels for split, part in parts.items()}
    names, numbers = numbered(path, labels, "{}_labels")
    parts = {split: part._replace(labels=numbers[split]) for split, part in parts.items()}
    return join(path.stem, parts, names, f"own file {path.name}, md5 {md5}", lines)


def _folder(
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
    labels = np.concatenate(list(numbers.values()))
    counts = zip(names, np.bincount(labels), strict=True)
    total = f"{len(split):,} images in {name}: {', '.join(f'{k} {n:,}' for k, n in counts)}"
    notes = (total, *read.lines)
    dataset = Dataset(name, read.images, labels, split, None, names, source, notes)
    if groups_file is not None:
        files = [entry.name for entry in read.entries]
        return grouped(dataset, group_files.read(groups_file, split, files))
    both = zip(read.entries, read.patients, strict=True)
    return _with_patients(path, dataset, [entry.group or patient for entry, patient in both])


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


def _digits(data_dir: Path | None) -> Dataset:
    del data_dir  # scikit-learn carries the images
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = np.asarray(labels, np.int32)
    split = np.full(len(images), TRAIN, np.int8)
    # Not Generator.permutation: numpy keeps the raw stream stable, but not its methods (NEP 19).
    order = np.argsort(np.random.PCG64(0).random_raw(len(images)), kind="stable")
    split[order[1437:]] = TEST
    return Dataset(
        "digits", images, labels, split, None, tuple("0123456789"),
        "Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, UCI, 1998), "
        "CC BY 4.0, as in scikit-learn; fixed split 1,437 / 360",
    )  # fmt: skip


def _mnist(data_dir: Path | None) -> Dataset:
    arrays = sources.mnist(data_dir)
    parts = {
        split: Part(arrays[f"{split}_images"][..., None], arrays[f"{split}_labels"], None)
        for split in ("train", "test")
    }
    source = "MNIST (Y. LeCun, C. Cortes and C. J. C. Burges), CC BY-SA 3.0"
    return join("mnist", parts, tuple("0123456789"), source)


def _medmnist(name: str, data_dir: Path | None, side: int | None = None) -> Dataset:
    facts = sources.facts(name)
    path = sources.medmnist_file(name, data_dir)
    parts, lines = npz.read(path, size=None if side is None else (side, side))
    return join(name, parts, facts["class_names"], facts["citation"], lines)


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "mnist": _mnist,
    **{name: functools.partial(_medmnist, name) for name in sources.MEDMNIST_NAMES},
}
