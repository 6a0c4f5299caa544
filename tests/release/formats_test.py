"""fpu/release/formats.py: a release opens in other programs, and holds no image that is not its own."""

import csv
import shutil

import numpy as np
import pandas
import pytest
import tiny_release
from PIL import Image
from refusal import refused

from fpu.release import scan

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


def rows(folder, change):
    path = folder / "labels.csv"
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    change(table)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(table)


def image(folder):
    return folder / "images/train/0-nothing/0000000.png"


LEAKS = {
    "a file beside the images": lambda f: (f / "images/train/0-nothing/me.txt").write_text("17"),
    "a folder beside the classes": lambda f: (f / "images/test").mkdir(),
    "another image": lambda f: Image.fromarray(np.zeros((8, 8), np.uint8)).save(image(f)),
    "a missing image": lambda f: image(f).unlink(),
    "a link": lambda f: image(f).unlink() or image(f).symlink_to(f / "samples.png"),
    "a comment": lambda f: image(f).write_bytes(image(f).read_bytes() + b"member 17"),
    "a column": lambda f: rows(f, lambda t: [row.append("17") for row in t]),
    "a row": lambda f: rows(f, lambda t: t.append(t[-1])),
    "a label": lambda f: rows(f, lambda t: t[1].__setitem__(1, "1")),
    "a name": lambda f: rows(f, lambda t: t[1].__setitem__(2, "member 17")),
    "a path": lambda f: rows(f, lambda t: t[1].__setitem__(0, "images/train/../../x.png")),
    "a folder for the list": lambda f: (f / "labels.csv").unlink() or (f / "labels.csv").mkdir(),
    "a file for the images": lambda f: (
        shutil.rmtree(f / "images") or (f / "images").write_text("17")
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_whatever_does_not_belong_is_refused(release, tmp_path, leak):
    folder = tmp_path / "release"
    shutil.copytree(release, folder)
    scan.scan(folder)
    LEAKS[leak](folder)
    with refused(str(folder)):
        scan.scan(folder)
