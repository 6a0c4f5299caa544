"""fpu/release/formats.py: a release opens in other programs. What does not belong into one: pack_test.py."""

import numpy as np
import pandas
import pytest
import tiny_release
from PIL import Image

CLASSES = ("0-nothing", "1-a_b", "2-x_y")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return tiny_release.write(tmp_path_factory.mktemp("runs") / "release")


@pytest.mark.parametrize("channels", [1, 3])
def test_numpy_pandas_and_pillow_read_the_same_images(tmp_path, channels):
    folder = tiny_release.write(tmp_path / "release", channels)
    table = pandas.read_csv(folder / "labels.csv")
    with np.load(folder / "synthetic.npz") as stored:
        images, labels = stored["train_images"], stored["train_labels"][:, 0]
    assert table.columns.tolist() == ["file", "label", "class"]
    np.testing.assert_array_equal(table["label"], labels)
    assert [tiny_release.NAMES[label] for label in labels] == table["class"].tolist()
    for name, image in zip(table["file"], images, strict=True):
        with Image.open(folder / name) as picture:
            assert picture.mode == ("L" if channels == 1 else "RGB")
            np.testing.assert_array_equal(np.asarray(picture), image)


def test_folders_are_classes_in_the_order_of_the_labels(release):
    assert tuple(sorted(p.name for p in (release / "images/train").iterdir())) == CLASSES
    assert "number the classes that have images" not in (release / "README.md").read_text()


def test_a_class_without_images_is_told(tmp_path):
    folder = tiny_release.write(tmp_path / "release", labels=np.zeros(12, int))
    assert "number the classes that have images" in (folder / "README.md").read_text()


def test_hugging_face_reads_it(release, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    read = datasets.load_dataset(str(release), split="train", cache_dir=str(tmp_path))
    assert read.features["label"].names == list(CLASSES)
    assert len(read) == 12  # and no samples.png
    first = next(row for row in read if row["label"] == 0)
    np.testing.assert_array_equal(np.asarray(first["image"]), tiny_release.images()[0, ..., 0])


def test_torchvision_reads_it(release):
    read = pytest.importorskip("torchvision").datasets.ImageFolder(str(release / "images/train"))
    assert (tuple(read.classes), len(read)) == (CLASSES, 12)
