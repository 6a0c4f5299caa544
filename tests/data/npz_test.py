"""fpu/data/npz.py: MedMNIST's format, read with suspicion and written back."""

import numpy as np
import pytest
import toy
from refusal import refused

from fpu import InputError
from fpu.data import npz


def _but(**changes):
    """A change to a valid file; None removes the field."""
    return lambda made: {k: v for k, v in (made | changes).items() if v is not None}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_but(train_images=None), "no array train_images"),
        (_but(train_labels=None), "no array train_labels"),
        (_but(val_labels=None), "no array val_labels"),
        (
            _but(train_images=np.full((12, 9, 9), np.nan, np.float32)),
            "all splits need one size and type",
        ),
        (
            lambda made: {
                k: np.full(v.shape, np.nan, np.float32) if "images" in k else v
                for k, v in made.items()
            },
            "float32 and not in [0, 1]; store uint8 pixels, 0 to 255, without NaN",
        ),
        (_but(train_images=np.zeros((12, 9, 9), np.int64)), "int64; store uint8"),
        (_but(train_images=np.zeros((12, 9), np.uint8)), "shape [12, 9]; need"),
        (_but(train_images=np.zeros((12, 3, 9, 9), np.uint8)), "need [N, H, W]"),
        (_but(train_images=np.zeros((12, 7, 9), np.uint8)), "resize"),
        (_but(train_images=np.zeros((0, 9, 9), np.uint8)), "train_images is empty"),
        (_but(test_images=np.zeros((6, 9, 10), np.uint8)), "test_images are 9x10x1"),
        (_but(test_images=np.zeros((6, 9, 9, 3), np.uint8)), "test_images are 9x9x3"),
        (_but(train_labels=np.zeros((11, 1), np.uint8)), "for 12 images"),
        (_but(train_labels=np.zeros((12, 5), np.uint8)), "5 labels an image"),
        (_but(train_labels=np.zeros(12, np.float32)), "float32; store integer class numbers"),
        (_but(train_labels=np.zeros(12, bool)), "bool; store integer"),
        (_but(train_labels=np.arange(-1, 11)), "holds -1"),
        (_but(train_labels=np.arange(12, dtype=np.uint64) + 2**63), f"holds {2**63 + 11}"),
        (_but(train_groups=np.zeros(11, int)), "train_groups"),
        (_but(train_groups=np.zeros(12)), "train_groups is float64"),
    ],
)
def test_bad_npz_is_one_line_naming_file_and_field(tmp_path, change, says):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **change(toy.arrays()))
    with refused(says, "mine.npz"):
        npz.read(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_synthetic_set_reads_back_and_is_medmnists_format(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (7, 9, 9, channels), np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    path = tmp_path / "release" / "synthetic.npz"
    npz.save_npz(path, images, labels, n_classes=4)
    back, back_labels = npz.load_images(path)
    assert np.array_equal(back, images)
    assert np.array_equal(back_labels, labels)
    grey = () if channels == 1 else (3,)
    with np.load(path) as stored:
        counts = {"train": 7, "val": 0, "test": 0}
        wanted = {f"{split}_images": (n, 9, 9, *grey) for split, n in counts.items()}
        wanted |= {f"{split}_labels": (n, 1) for split, n in counts.items()}
        assert {k: stored[k].shape for k in stored} == wanted
    assert list(npz.read(path)[0]) == ["train"]  # it can be a data set itself
    assert [p.name for p in path.parent.iterdir()] == ["synthetic.npz"]


def test_images_are_read_in_blocks_in_either_order_and_no_more_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_ROWS", 5)
    made = toy.arrays()
    for change in (np.ascontiguousarray, np.asfortranarray):
        np.savez(tmp_path / "x.npz", **{k: change(v) for k, v in made.items()})
        parts, lines = npz.read(tmp_path / "x.npz")
        for split, part in parts.items():
            np.testing.assert_array_equal(part.images[..., 0], made[f"{split}_images"])
        assert lines == []
    monkeypatch.setattr(npz.safe, "MAX_BYTES", 24 * 9 * 9 - 1)
    with pytest.raises(InputError, match="24 images of 9x9 pixels take too much memory"):
        npz.read(tmp_path / "x.npz")
    assert npz.read(tmp_path / "x.npz", size=(8, 8))[0]["train"].images.shape == (12, 8, 8, 1)


def test_groups_are_read_as_text(tmp_path):
    for ids in ([7, 3, 7, 9, 3, 7], [["g"], ["z"], ["g"], ["a"], ["z"], ["g"]]):
        made = {"train_images": np.zeros((6, 8, 8), np.uint8), "train_labels": np.arange(6) % 2}
        np.savez(tmp_path / "x.npz", **made, train_groups=np.array(ids))
        groups = npz.read(tmp_path / "x.npz")[0]["train"].groups
        assert groups.tolist() == list(np.ravel(ids).astype(str))
