"""fpu/data/synthetic.py: a synthetic set from an .npz or a folder, in the size and classes of the real data."""

import numpy as np
import pytest
import toy
from PIL import Image

from fpu import InputError, data


def test_what_save_folder_writes_is_read_back(tmp_path):
    ds = toy.dataset([6, 6, 6])
    data.save_folder(tmp_path / "out", ds.images, ds.labels, ds.class_names)
    images, labels, lines = data.load_synthetic(tmp_path / "out", ds)
    order = np.argsort(ds.labels, kind="stable")
    np.testing.assert_array_equal(images, ds.images[order])
    np.testing.assert_array_equal(labels, ds.labels[order])
    assert lines == []


def test_classes_are_names_or_positions_and_sizes_are_those_of_the_data(tmp_path):
    ds = toy.dataset([6, 6, 6])  # classes c0, c1, c2, 8x8, grey
    for name, colour in (("c2", (9, 9, 9)), ("1", (200, 0, 0))):
        (tmp_path / name).mkdir()
        Image.new("RGB", (99, 99), colour).save(tmp_path / name / "x.png")
    images, labels, lines = data.load_synthetic(tmp_path, ds)
    assert (labels.tolist(), images[:, 0, 0].tolist()) == ([1, 2], [[60], [9]])
    assert any("scaled to 8x8" in line for line in lines)
    assert any("made grey, as toy is" in line for line in lines)
    (tmp_path / "c2").rename(tmp_path / "c3")
    with pytest.raises(InputError, match="class c3 is none of the real data's: c0, c1, c2"):
        data.load_synthetic(tmp_path, ds)


def test_an_npz_with_names_for_labels(tmp_path):
    ds = toy.dataset([6, 6, 6])
    made = {"train_images": ds.images[:3], "train_labels": np.array(["c1", "c0", "c1"])}
    np.savez(tmp_path / "x.npz", **made)
    images, labels, _ = data.load_synthetic(tmp_path / "x.npz", ds)
    np.testing.assert_array_equal(images, ds.images[:3])
    assert labels.tolist() == [1, 0, 1]
