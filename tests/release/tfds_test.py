"""fpu/release/tfds.py: what was drawn opens as any tensorflow-datasets source does."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from fpu.release import tfds as exported


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_a_data_source(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, channels), np.uint8)
    labels = np.array([0, 2, 1, 1, 0, 2, 2])
    for source in (
        exported.prepare(tmp_path, images, labels, n_classes=4),
        tfds.data_source("synthetic", split="train", data_dir=tmp_path, download=False),
    ):
        assert [example["label"] for example in source] == labels.tolist()
        np.testing.assert_array_equal(np.stack([example["image"] for example in source]), images)
    assert tfds.builder("synthetic", data_dir=tmp_path).info.features["label"].num_classes == 4
