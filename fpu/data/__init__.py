"""Data: loading image sets, choosing disjoint subsets of them, and recording which images were used."""

from fpu.data.dataset import TEST, Dataset
from fpu.data.datasets import DATASETS, load
from fpu.data.folders import save_folder
from fpu.data.look import look
from fpu.data.manifests import manifest
from fpu.data.npz import load_images, save_npz
from fpu.data.privacy_units import unit_of, units
from fpu.data.subsets import Split, around, class_matched, partition
from fpu.data.synthetic import load_synthetic

__all__ = [
    "DATASETS", "TEST", "Dataset", "Split", "around", "class_matched", "load", "load_images",
    "load_synthetic", "look", "manifest", "partition", "save_folder", "save_npz", "unit_of",
    "units",
]  # fmt: skip
