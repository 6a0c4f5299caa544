"""Manifests: which images a run used, so that another program can judge its synthetic set later."""

import hashlib
import json
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data.dataset import Dataset
from fpu.data.privacy_units import units
from fpu.data.subsets import Split
from fpu.files import safe

_MOST_BYTES = 2**28  # of a manifest; a line for each of ten million images takes less


def manifest(dataset: Dataset, split: Split) -> dict:
    """Which images were used, JSON-able; the names are those of the record's `data`.

    Indices point into Dataset.images (of an .npz: its train, then val, then test). A sha256 is over
    the uint8 pixels of the set in ascending index order, then its labels as little-endian int32.
    """

    def per_class(indices: np.ndarray) -> list[int]:
        return np.bincount(dataset.labels[indices], minlength=dataset.n_classes).tolist()

    return {
        "name": dataset.name,
        "source": dataset.source,
        "unit": dataset.unit,
        "n_members": len(split.members),
        "n_units": len(units(dataset, split.members)[1]),
        "n_nonmembers": len(split.nonmembers),
        "n_reference": len(split.reference),
        "n_test": len(split.test),
        "members_per_class": per_class(split.members),
        "nonmembers_per_class": per_class(split.nonmembers),
        "reference_per_class": per_class(split.reference),
        "test_per_class": per_class(split.test),
        "sha256_members": _sha256(dataset, split.members),
        "sha256_nonmembers": _sha256(dataset, split.nonmembers),
        "notes": dict(split.notes),
        "members": split.members.tolist(),
        "nonmembers": split.nonmembers.tolist(),
    }


def read(path: Path, dataset: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """(members, nonmembers or None): indices into dataset.images, ascending, as a manifest lists them.

    Args:
      path: a run's manifest.json, any JSON object with a list "members", or such a list itself. "nonmembers"
        and the SHA-256 of the members' pixels and labels are read where they are given.

    Raises InputError for a file of another form, for images that `dataset` does not have, and where the SHA-256
    is that of other images.
    """
    with safe.one_line(path, "JSON"):
        content = json.loads(safe.read_text(path, _MOST_BYTES))
    lists = content if isinstance(content, dict) else {"members": content}
    members = _indices(path, dataset, lists, "members")
    nonmembers = _indices(path, dataset, lists, "nonmembers") if "nonmembers" in lists else None
    if len(members) == 0:
        raise InputError(f"{path}: its list of members is empty")
    if nonmembers is not None and np.intersect1d(members, nonmembers).size:
        raise InputError(f"{path}: some images are members and non-members at once")
    digest = lists.get("sha256_members")
    if digest is not None and digest != _sha256(dataset, members):
        raise InputError(
            f"{path}: was made from other images than those of {dataset.name} (SHA-256 of the members)"
        )
    return members, nonmembers


def _indices(path: Path, dataset: Dataset, lists: dict, name: str) -> np.ndarray:
    values, n = lists.get(name), len(dataset.labels)
    if not (isinstance(values, list) and all(type(value) is int for value in values)):
        raise InputError(
            f"{path}: needs a list {name} of whole numbers, positions in {dataset.name}"
        )
    if values and not 0 <= min(values) <= max(values) < n:
        raise InputError(
            f"{path}: {name} run to {max(values)}; {dataset.name} has images 0 to {n - 1}"
        )
    indices = np.unique(np.asarray(values, np.int64))
    if len(indices) < len(values):
        raise InputError(f"{path}: {name} holds some image twice")
    return indices


def _sha256(dataset: Dataset, indices: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images[indices]).data)
    digest.update(dataset.labels[indices].astype("<i4").data)
    return digest.hexdigest()
