"""Data sets: DATASETS has one entry each; any .npz in MedMNIST's format can be named by its path.

A Dataset is all images of a file; `partition` (fpu/data/subsets.py) chooses those that a run trains on. To add a
data set, write a function data_dir -> Dataset and give it a line in DATASETS.
"""

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import npz, sources
from fpu.data.subsets import TEST, TRAIN, VAL
from fpu.files import safe

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}


@dataclass(frozen=True)
class Dataset:
    """Images with one label each, in the order of the file: of an .npz train, then val, then test.

    The privacy unit is the image, or the group (a patient, say) where the file names groups.
    """

    name: str
    images: np.ndarray  # uint8 [N, H, W, C]
    labels: np.ndarray  # int32 [N], in 0..n_classes-1
    split: np.ndarray  # int8 [N]: 0 train, 1 val, 2 test
    groups: np.ndarray | None  # int32 [N]: the privacy unit of a train image, -1 elsewhere
    class_names: tuple[str, ...]
    source: str  # one line: citation, licence

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


def load(name: str | Path, data_dir: str | Path | None = None) -> Dataset:
    """Load a data set by name, or an .npz file in MedMNIST's format by its path.

    Args:
      name: a key of DATASETS, or a path ending in .npz: train_images uint8 [N, H, W] (grey) or
        [N, H, W, 3], sides 8 to 64; train_labels integers [N] or [N, 1]; optional val_*, test_* and
        train_groups [N] (patient ids: the group becomes the privacy unit).
      data_dir: folder to look in first for mnist's files or a MedMNIST .npz.

    Raises InputError, one line, for an unknown name, a file that is absent, damaged, not official
    under an official name, or of another format.
    """
    name = str(name)
    folder = None if data_dir is None else Path(data_dir).expanduser()
    if folder is not None and not folder.is_dir():
        raise InputError(f"--data_dir={folder}: no such folder")
    if name in DATASETS:
        return DATASETS[name](folder)
    if name.endswith(".npz") or Path(name).is_file():
        return _own(Path(name).expanduser())
    base = name.partition("_")[0]
    if base == "chestmnist" or base.endswith("mnist3d"):
        kind = "3-D" if base.endswith("3d") else "multi-label"
        raise InputError(f"--dataset={name} is {kind}: 2-D images with one label each are needed")
    near = difflib.get_close_matches(name.lower(), DATASETS, n=1, cutoff=0.5)
    known = f"the nearest is {near[0]}" if near else f"known are {', '.join(DATASETS)}"
    raise InputError(f"--dataset={name} is unknown: {known}; a path to an .npz file works too")


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
    parts: dict[str, npz.Part] = {
        split: (arrays[f"{split}_images"][..., None], arrays[f"{split}_labels"], None)
        for split in ("train", "test")
    }
    source = "MNIST (Y. LeCun, C. Cortes and C. J. C. Burges), CC BY-SA 3.0"
    return _join("mnist", parts, tuple("0123456789"), source)


def _medmnist(name: str, data_dir: Path | None) -> Dataset:
    facts = sources.facts(name)
    path = sources.medmnist_file(name, data_dir)
    return _join(name, npz.read(path), facts["class_names"], facts["citation"])


def _own(path: Path) -> Dataset:
    parts = npz.read(path)
    md5 = safe.file_md5(path)
    if path.stem in sources.MEDMNIST_NAMES and md5 == sources.facts(path.stem)["md5"]:
        facts = sources.facts(path.stem)
        return _join(path.stem, parts, facts["class_names"], facts["citation"])
    labels = [labels for _, labels, _ in parts.values()]
    present, n_classes = np.unique(labels[0]), 1 + max(int(part.max()) for part in labels)
    if n_classes < 2:
        raise InputError(f"{path}: train_labels has one class only; two or more are needed")
    if len(present) < n_classes:
        missing = np.setdiff1d(np.arange(len(present) + 1), present)[0]
        raise InputError(
            f"{path}: train_labels has no image of class {missing}, yet the labels reach "
            f"{n_classes - 1}; number the classes 0..K-1 without a gap"
        )
    names = tuple(str(k) for k in range(n_classes))
    return _join(path.stem, parts, names, f"own file {path.name}, md5 {md5}")


def _join(
    name: str, parts: dict[str, npz.Part], class_names: tuple[str, ...], source: str
) -> Dataset:
    """One Dataset of {split: (images, labels, groups or None)}."""
    images, labels, groups = zip(*parts.values(), strict=True)
    split = np.repeat([_SPLITS[s] for s in parts], [len(part) for part in labels]).astype(np.int8)
    ids = None
    if groups[0] is not None:
        ids = np.full(len(split), -1, np.int32)
        ids[split == TRAIN] = groups[0]
    return Dataset(
        name, np.concatenate(images), np.concatenate(labels).astype(np.int32), split, ids,
        class_names, source,
    )  # fmt: skip


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "mnist": _mnist,
    **{name: functools.partial(_medmnist, name) for name in sources.MEDMNIST_NAMES},
}
