"""fpu/data/datasets.py: every way to name a data set."""

import numpy as np
import pytest
from toy import arrays

from fpu import InputError, data
from fpu.data import sources
from fpu.files import safe

DIGITS_TEST = [4, 5, 9, 10, 12, 16]
DIGITS_MEMBERS = [19, 376, 737, 788, 1239, 1487, 1496, 1512, 1585, 1666]


def saved(path, **fields):
    np.savez_compressed(path, **fields)
    return path


def test_digits_are_whole_and_split_for_good():
    ds = data.load("digits")
    assert (ds.images.shape, ds.images.dtype) == ((1797, 8, 8, 1), np.uint8)
    assert (ds.shape, ds.n_classes) == ((8, 8, 1), 10)
    assert (ds.images.min(), ds.images.max()) == (0, 255)
    assert np.bincount(ds.split).tolist() == [1437, 0, 360]
    # Published results depend on these: they may never move, whatever numpy does.
    assert np.flatnonzero(ds.split == 2)[:6].tolist() == DIGITS_TEST
    assert data.partition(ds, n_per_class=1).members.tolist() == DIGITS_MEMBERS
    split = data.partition(ds, n_per_class=50)
    for indices in (split.members, split.nonmembers):
        assert np.bincount(ds.labels[indices]).tolist() == [50] * 10
    assert np.array_equal(split.test, np.flatnonzero(ds.split == 2))
    assert split.notes == {}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("octmnst", "octmnist"),
        ("zzz", "known: digits, mnist"),
        ("chestmnist", "multi-label"),
        ("chestmnist_64", "multi-label"),
        ("organmnist3d", "3-D"),
        ("absent.npz", "absent.npz: cannot be read"),
        ("", "--dataset= is empty"),
        ("Digits", "did you mean digits"),
    ],
)
def test_unknown_names_are_refused(name, says):
    with pytest.raises(InputError, match=says) as caught:
        data.load(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 330


def test_absent_data_dir_is_refused(tmp_path):
    with pytest.raises(InputError, match="--data_dir"):
        data.load("digits", tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "n_classes"), [("octmnist", 4), ("organamnist", 11)])
def test_official_name_needs_official_bytes_a_path_does_not(tmp_path, monkeypatch, name, n_classes):
    made = arrays((3 * n_classes, n_classes, n_classes), 28, n_classes=n_classes)
    path = saved(tmp_path / f"{name}.npz", **made)
    with pytest.raises(InputError, match=f"{name}.npz: not the official"):
        data.load(name, tmp_path)
    own = data.load(path)
    assert (own.name, own.n_classes, own.shape) == (name, n_classes, (28, 28, 1))
    assert own.source.startswith("own file")
    assert np.array_equal(own.images[..., 0], np.concatenate([made[k] for k in made][::2]))
    assert np.array_equal(own.labels, np.concatenate([made[k] for k in made][1::2])[:, 0])
    assert np.bincount(own.split).tolist() == [3 * n_classes, n_classes, n_classes]
    assert (own.images.dtype, own.labels.dtype, own.groups) == (np.uint8, np.int32, None)

    # With the official md5 the same file is the official set, by name or by path.
    official = {"url": "", "MD5": safe.file_md5(path), "license": ""}
    official["label"] = {str(k): str(k) for k in range(n_classes)}
    monkeypatch.setattr(sources, "_info", lambda: {name: official})
    for official in (data.load(name, tmp_path), data.load(path)):
        assert "MedMNIST" in official.source
        assert np.array_equal(official.images, own.images)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        ([0] * 6, [0] * 6, "one class only"),
        ([0, 1] * 3, [2] * 6, "no image of class 2"),
        (["b", "a"] * 3, ["c"] * 6, "no image of class c"),
    ],
)
def test_every_class_needs_images_in_train(tmp_path, train, test, says):
    made = arrays((6, 0, 6)) | {"train_labels": np.array(train), "test_labels": np.array(test)}
    with pytest.raises(InputError, match=f"mine.npz: train_labels has {says}"):
        data.load(saved(tmp_path / "mine.npz", **made))


@pytest.mark.parametrize(
    ("train", "names"),
    [
        ([1, 2, 5] * 4, ("1", "2", "5")),
        ([0, 2**31 - 1] * 6, ("0", "2147483647")),
        (["no finding", "b", "\u03b1"] * 4, ("b", "no finding", "\u03b1")),
        ([b"b", b"a"] * 6, ("a", "b")),
    ],
)
def test_labels_with_gaps_and_labels_that_are_text_keep_their_names(tmp_path, train, names):
    for shape in ((12,), (12, 1)):
        made = arrays((12, 0, 0)) | {"train_labels": np.array(train).reshape(shape)}
        ds = data.load(saved(tmp_path / "mine.npz", **made))
        assert ds.class_names == names
        text = [t.decode() if isinstance(t, bytes) else str(t) for t in train]
        assert [names[k] for k in ds.labels] == text


def test_unknown_arrays_are_named_and_those_that_look_like_patients_refused(tmp_path):
    notes = data.load(saved(tmp_path / "a.npz", **(arrays() | {"age": np.arange(12)}))).notes
    assert any("not used: age" in line for line in notes)
    for name in ("groups", "patient_id", "train_patients", "test_groups", "PatientID", "subject"):
        path = saved(tmp_path / "b.npz", **arrays(), **{name: np.arange(6)})
        with pytest.raises(InputError, match=f"its array {name} looks like patients.*train_groups"):
            data.load(path)


def test_groups_of_test_are_compared_with_those_of_train(tmp_path):
    groups = {"train_groups": np.repeat(["x", "y", "z"], 4), "test_groups": list("qyyxpp")}
    ds = data.load(saved(tmp_path / "a.npz", **arrays(), **groups))
    assert ds.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [-1] * 12
    assert any(line.startswith("2 groups are in train and in val or test") for line in ds.notes)
    groups["train_groups"] = np.array(["x", ""] * 6)
    with pytest.raises(InputError, match="train_groups holds an empty id"):
        data.load(saved(tmp_path / "a.npz", **arrays(), **groups))


def test_floats_sixteen_bits_alpha_and_large_images_are_accepted_and_said(tmp_path):
    eight = np.random.default_rng(0).integers(0, 256, (12, 9, 9), np.uint8)
    labels = {"train_labels": np.arange(12) % 3}

    def load(images, **more):
        return data.load(saved(tmp_path / "mine.npz", train_images=images, **labels), **more)

    floats = load(eight / 255.0)
    assert np.array_equal(floats.images[..., 0], eight)
    assert any("float64 pixels in [0, 1]" in line for line in floats.notes)
    twelve = load(eight.astype(np.uint16) * 16)  # up to 4,080: a scanner of 12 bits
    assert np.abs(twelve.images[..., 0].astype(int) - eight).max() <= 1
    assert any("read as 12 bits" in line for line in twelve.notes)
    alpha = load(np.repeat(eight[..., None], 4, axis=3))
    assert alpha.shape == (9, 9, 3)
    assert any("alpha channel was dropped" in line for line in alpha.notes)
    assert load(eight, side=16).shape == (16, 16, 1)
    for whole in (eight[:, :8, :8, None], np.full((12, 64, 64, 3), 9, np.uint8)):
        assert np.array_equal(load(whole).images, whole)
    large = load(np.full((12, 224, 224), 9, np.uint8))
    assert (large.shape, large.images.min(), large.images.max()) == ((28, 28, 1), 9, 9)
    assert any("224x224 pixels were scaled to 28x28" in line for line in large.notes)
    assert load(np.zeros((12, 7, 9), np.uint8), side=8).shape == (8, 8, 1)
    with pytest.raises(InputError, match="0x9 pixels"):
        load(np.zeros((12, 0, 9), np.uint8), side=8)
    for wrong in (eight * 1.0, np.where(eight == 0, np.nan, eight / 255), eight / 255 - 1e-3):
        with pytest.raises(InputError, match=r"float64 and not in \[0, 1\]"):
            load(wrong)


def test_side_resizes_any_data_set_and_is_bounded():
    assert data.load("digits", side=12).shape == (12, 12, 1)
    for side in (0, 7, 65, -1):
        with pytest.raises(InputError, match=f"--side={side}: must be 8 to 64"):
            data.load("digits", side=side)


def test_paths_that_are_not_there_name_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (f"{tmp_path}/scan", "~/scan", "~/scann/train"):
        with pytest.raises(InputError, match=f"no such file or folder; the nearest in {tmp_path}"):
            data.load(name)
