"""fpu/priors/images.py: data sets, .npz files and folders as priors, fitted to the data, refused in one line."""

import numpy as np
import pytest
from PIL import Image
from refusal import refused

from fpu import InputError, priors
from fpu.data import save_folder, save_npz
from fpu.models import Spec
from fpu.priors import images, pools

GREY = Spec((8, 8, 1), 3)
RNG = np.random.default_rng


def some(n=1000, shape=(8, 8, 1), seed=0):
    rng = RNG(seed)
    return rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 3, n)


def test_an_npz_keeps_its_images_and_labels(tmp_path):
    x, y = some()
    save_npz(tmp_path / "mine.npz", x, y, 3)
    prior = images.named(str(tmp_path / "mine.npz"))
    made, classes = prior.make(RNG(0), 5000, GREY)
    np.testing.assert_array_equal(made, x)
    np.testing.assert_array_equal(classes, y)
    assert "1,000 public images" in prior.KNOWS
    assert str(tmp_path) not in prior.KNOWS
    fewer, some_classes = prior.make(RNG(0), 200, GREY)
    assert (fewer.shape, some_classes.shape) == ((200, 8, 8, 1), (200,))


def test_the_version_is_of_the_content(tmp_path):
    x, y = some()
    versions = []
    other = x ^ (np.arange(1000) == 7)[:, None, None, None]
    for name, pixels in (("a", x), ("b", x), ("c", other)):
        save_npz(tmp_path / f"{name}.npz", pixels.astype(np.uint8), y, 3)
        versions.append(images.named(str(tmp_path / f"{name}.npz")).VERSION)
    assert versions[0] == versions[1] != versions[2]


def test_an_npz_without_labels_has_no_classes(tmp_path):
    x, _ = some(shape=(9, 8))
    np.savez(tmp_path / "bare.npz", train_images=x)
    made, classes = images.named(str(tmp_path / "bare.npz")).make(RNG(0), 1000, GREY)
    assert made.shape == (1000, 8, 8, 1)
    assert classes is None


def test_larger_colour_images_are_averaged_and_turned_grey(tmp_path):
    x = np.repeat(np.arange(1000, dtype=np.uint16) % 256, 16 * 16 * 3).astype(np.uint8)
    save_npz(tmp_path / "rgb.npz", x.reshape(1000, 16, 16, 3), np.arange(1000) % 2, 2)
    prior = images.named(str(tmp_path / "rgb.npz"))
    made, _ = prior.make(RNG(0), 1000, GREY)
    np.testing.assert_array_equal(made[:, 3, 4, 0], np.arange(1000) % 256)
    assert prior.make(RNG(0), 10, Spec((16, 16, 3), 2))[0].shape == (10, 16, 16, 3)


def test_a_folder_with_a_subfolder_for_each_class(tmp_path):
    x, y = some()
    y[:3] = 0, 1, 2
    save_folder(tmp_path / "set", x, y, ("cat", "dog", "owl"))
    made, classes = images.named(str(tmp_path / "set")).make(RNG(0), 1000, GREY)
    order = np.argsort(y, kind="stable")
    np.testing.assert_array_equal(made, x[order])
    np.testing.assert_array_equal(classes, y[order])


def test_a_folder_of_jpegs_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "LEAST", 3)
    for i in range(4):
        Image.new("RGB", (20 + i, 15), (50 * i,) * 3).save(tmp_path / f"{i}.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    made, classes = images.named(str(tmp_path)).make(RNG(0), 10, GREY)
    assert classes is None
    assert np.abs(made[:, 0, 0, 0] - 50.0 * np.arange(4)).max() <= 2


def test_a_data_set_by_name_is_a_whole_prior():
    prior = priors.load("images:digits", GREY)
    assert len(prior.images) == 1797
    assert len(np.unique(prior.codes, axis=0)) > 1700
    assert prior.space.decode is None
    assert prior.vary is None


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nothing", "no data set"),
        ("gone.npz", "cannot be read"),
        ("torn.npz", "damaged"),
        ("few.npz", "999 images; 1,000"),
        ("empty", "0 images; 1,000"),
        ("floats.npz", "uint8"),
    ],
)
def test_what_is_no_pool_is_refused_in_one_line(tmp_path, monkeypatch, what, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.npz").write_bytes(b"PK\3\4 torn")
    (tmp_path / "empty").mkdir()
    save_npz(tmp_path / "few.npz", *some(999), 3)
    np.savez(tmp_path / "floats.npz", train_images=np.zeros((1000, 8, 8)))
    with refused(words):
        images.named(what)


@pytest.mark.parametrize(
    ("shape", "words"), [((28, 28, 1), "enlarged to 28x28"), ((8, 8, 3), "RGB")]
)
def test_images_are_neither_enlarged_nor_coloured(tmp_path, shape, words):
    save_npz(tmp_path / "small.npz", *some(), 3)
    prior = images.named(str(tmp_path / "small.npz"))
    with pytest.raises(InputError, match=words):
        prior.make(RNG(0), 10, Spec(shape, 3))


def test_a_damaged_file_in_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "LEAST", 1)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(InputError, match=r"torn\.png"):
        images.named(str(tmp_path)).make(RNG(0), 10, GREY)
