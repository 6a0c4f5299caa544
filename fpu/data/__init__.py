"""Data: loading image sets, drawing disjoint subsets from them, and saying which images were used."""

from fpu.data.datasets import DATASETS, Dataset, load
from fpu.data.manifests import manifest
from fpu.data.npz import load_images, save_npz
from fpu.data.subsets import TEST, Split, around, class_matched, partition, units

__all__ = [
    "DATASETS",
    "TEST",
    "Dataset",
    "Split",
    "around",
    "class_matched",
    "load",
    "load_images",
    "manifest",
    "partition",
    "save_npz",
    "units",
]
