"""fpu/data/folders.py: one subfolder of PNG files for each class, in the order of the labels."""

import numpy as np
import pytest
from PIL import Image

from fpu import InputError, data

NAMES = ("no finding", "a / b", *map(str, range(2, 10)), "\u03b1")


@pytest.mark.parametrize("channels", [1, 3])
def test_subfolders_sort_by_label_and_hold_the_pixels(tmp_path, channels):
    labels = np.arange(22) % 11
    images = np.random.default_rng(0).integers(0, 256, (22, 9, 8, channels), np.uint8)
    data.save_folder(tmp_path / "out", images, labels, NAMES)
    folders = sorted((tmp_path / "out").iterdir())  # as torchvision's ImageFolder numbers them
    assert [f.name for f in folders[:3]] == ["00-no_finding", "01-a_b", "02"]
    assert folders[10].name == "10-\u03b1"
    for label, folder in enumerate(folders):
        paths = sorted(folder.iterdir())
        pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
        np.testing.assert_array_equal(pixels.reshape(-1, 9, 8, channels), images[labels == label])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("precious")
    arrays = np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, int), ["a"]
    for place in (tmp_path, tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(InputError, match=r"not empty|cannot write"):
            data.save_folder(place, *arrays)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    data.save_folder(tmp_path / "empty", *arrays)
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["0-a"]
