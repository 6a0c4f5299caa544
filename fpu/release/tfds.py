"""A release as a tensorflow-datasets source, without TensorFlow: what pipelines that read tfds already know to open."""

import sys
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from fpu import InputError
from fpu.files import safe


class Synthetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The images and labels of a synthetic.npz, as split "train", in its order."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, path: Path, **arguments):
        self._images, self._labels = (
            safe.npz_array(path, name) for name in ("train_images", "train_labels")
        )
        super().__init__(**arguments)

    def _info(self):
        shape = self._images.shape[1:] if self._images.ndim == 4 else (*self._images.shape[1:], 1)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Synthetic images made by fpu; PRIVACY.md of the release says under which guarantee.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=shape),
                    "label": tfds.features.ClassLabel(num_classes=int(self._labels.max()) + 1),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, (image, label) in enumerate(zip(self._images, self._labels.ravel(), strict=True)):
            # As PIL images: arrays would be encoded by TensorFlow.
            yield i, {"image": Image.fromarray(np.squeeze(image)), "label": int(label)}


def prepare(release: str | Path, data_dir: str | Path):
    """Write the images of a release into `data_dir`, once; tfds.data_source("synthetic", data_dir=data_dir) opens them.

    Args:
      release: the folder that a run left, or its synthetic.npz.
      data_dir: a folder of its own for each release: what is prepared there already is kept.

    Returns: the random-access source of split "train": {"image": uint8 [H, W, C], "label"} at each index.

    Raises:
      InputError: there is no synthetic.npz, or it is damaged.
    """
    path = Path(release)
    path = path / "synthetic.npz" if path.is_dir() else path
    held = safe.npz_headers(path, ["train_images", "train_labels"])
    if len(held) < 2:
        raise InputError(f"{path}: has no train_images and train_labels; name a release")
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = Synthetic(path=path, data_dir=str(data_dir), file_format="array_record")
    builder.download_and_prepare()
    return builder.as_data_source("train")
