"""fpu/release/tfds.py: a release opens as any tensorflow-datasets source does."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from fpu import InputError
from fpu.release import tfds as exported


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_release_is_a_data_source(tmp_path, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 8, 8, *channels), np.uint8)
    labels = np.array([[0], [2], [1], [1], [0], [2], [2]], np.uint8)
    release, prepared = tmp_path / "release", tmp_path / "tfds"
    release.mkdir()
    np.savez(release / "synthetic.npz", train_images=images, train_labels=labels)
    for source in (
        exported.prepare(release, prepared),
        tfds.data_source("synthetic", split="train", data_dir=prepared, download=False),
    ):
        assert len(source) == 7
        assert [example["label"] for example in source] == labels.ravel().tolist()
        held = np.stack([example["image"] for example in source])
        np.testing.assert_array_equal(held.reshape(images.shape), images)


def test_what_is_no_release_is_refused(tmp_path):
    np.savez(tmp_path / "synthetic.npz", other=np.zeros(3))
    with pytest.raises(InputError, match=r"synthetic\.npz"):
        exported.prepare(tmp_path, tmp_path / "tfds")
    with pytest.raises(InputError, match="none"):
        exported.prepare(tmp_path / "none", tmp_path / "tfds")
