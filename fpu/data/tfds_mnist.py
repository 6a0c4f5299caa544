"""MNIST through tensorflow-datasets, without TensorFlow.

The builder of tensorflow-datasets reads its files with TensorFlow and writes TFRecords. This one has the same name,
version, addresses, checksums and features, but reads the files itself and writes array_record, so that
`tfds.data_source("mnist", data_dir=...)` opens the result.
"""

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.image_classification import mnist as stock

from fpu import InputError
from fpu.files import safe

_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


class MNIST(stock.MNIST, skip_registration=True):  # registered, it would clash with the stock one
    # Official sizes and sha256; else searched for beside this file.
    url_infos = stock.MNIST.url_infos

    def _info(self) -> tfds.core.DatasetInfo:
        info = super()._info()
        return tfds.core.DatasetInfo(
            builder=self,
            description=info.description,
            features=info.features,
            supervised_keys=info.supervised_keys,
            homepage=info.homepage,
            citation=info.citation,
            disable_shuffling=True,  # keeps the official order, which the paper's subsets follow
        )

    def _split_generators(self, dl_manager: Any) -> dict:
        urls = {split: [self.URL + name for name in names] for split, names in _FILES.items()}
        paths = dl_manager.download(urls)
        return {split: self._generate_examples(*paths[split]) for split in _FILES}

    def _generate_examples(self, images_path: str, labels_path: str) -> Iterator[tuple[int, dict]]:
        images, labels = safe.read_idx(images_path), safe.read_idx(labels_path)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            # As PIL images: arrays would be encoded by TensorFlow.
            yield i, {"image": Image.fromarray(image), "label": int(label)}


def read(folder: Path) -> dict[str, np.ndarray]:
    """Prepare MNIST in `folder` unless that has been done, and decode it.

    Returns {train_images [N, 28, 28], train_labels [N], test_images, test_labels}, uint8, in the
    official order. Raises InputError where the download fails or has a wrong checksum, or `folder` cannot be written.
    """
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        builder = MNIST(data_dir=folder, file_format="array_record")
        if not builder.data_path.exists():
            # At once an error where no server answers: tensorflow-datasets would try for minutes.
            head = urllib.request.Request(MNIST.URL + _FILES["test"][1], method="HEAD")
            urllib.request.urlopen(head, timeout=30).close()
        builder.download_and_prepare()
    except Exception as error:  # of many kinds, most of them private to tensorflow-datasets
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"mnist: tensorflow-datasets could not fetch or write it in {folder} ({reason}); "
            "fetch the four idx .gz files another way and give their folder with --data_dir"
        ) from error
    arrays = {}
    for split in _FILES:
        examples = list(builder.as_data_source(split))  # pyright: ignore[reportCallIssue]  (a decorator hides its parameters)
        arrays[f"{split}_images"] = np.stack([e["image"][..., 0] for e in examples])
        arrays[f"{split}_labels"] = np.array([e["label"] for e in examples], np.uint8)
    return arrays
