"""Images as a tensorflow-datasets source, written and read without TensorFlow."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class Synthetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images and labels as split "train", in their order."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, images: np.ndarray, labels: np.ndarray, n_classes: int, **arguments: Any):
        self._images, self._labels, self._n_classes = images, labels, n_classes
        super().__init__(**arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Synthetic images made by fpu; PRIVACY.md of the release says under which guarantee.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=self._images.shape[1:]),
                    "label": tfds.features.ClassLabel(num_classes=self._n_classes),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        for i, (image, label) in enumerate(zip(self._images, self._labels, strict=True)):
            # As PIL images: arrays would be encoded by TensorFlow.
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            yield i, {"image": picture, "label": int(label)}


def prepare(data_dir: str | Path, images: np.ndarray, labels: np.ndarray, n_classes: int) -> Any:
    """Write images into `data_dir`; tfds.data_source("synthetic", split="train", data_dir=data_dir) opens them.

    Args:
      data_dir: absent or empty: tensorflow-datasets would keep what is prepared there already.
      images, labels: uint8 [n, H, W, C] and ints [n].

    Returns: the random-access source of split "train": {"image": uint8 [H, W, C], "label"} at each index.
    """
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    arrays = {"images": images, "labels": labels, "n_classes": n_classes}
    builder = Synthetic(**arrays, data_dir=str(data_dir), file_format="array_record")
    builder.download_and_prepare()
    return builder.as_data_source("train")  # pyright: ignore[reportCallIssue]  (a decorator hides its parameters)
