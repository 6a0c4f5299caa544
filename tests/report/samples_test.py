import base64
import io

import numpy as np
import pytest
from fake_records import record
from matplotlib.image import imread

from fpu.report import samples
from fpu.report.schema import problem

REAL = 77  # a grey that nothing else in a sheet has


def sheet(tmp_path, shape, n_classes, per_class=30, real=False, names=None):
    """Synthetic images of one grey per class, real ones of another; the picture as uint8 RGB."""
    labels = np.repeat(np.arange(n_classes), per_class)
    grey = (10 + labels)[:, None, None, None]
    images = np.broadcast_to(grey, (len(labels), *shape)).astype(np.uint8)
    extra = (np.full_like(images, REAL), labels) if real else ()
    path = tmp_path / "samples.png"
    names = names or [f"class {k}" for k in range(n_classes)]
    samples.samples_png(path, images, labels, names, *extra)
    assert [p.name for p in tmp_path.iterdir()] == ["samples.png"]
    return np.rint(imread(path)[..., :3] * 255).astype(np.uint8)


def tiles(picture, grey, shape):
    """How many whole tiles of this grey the picture holds."""
    side = max(1, round(84 / max(shape[:2])))
    return np.all(picture == grey, axis=-1).sum() / (shape[0] * side * shape[1] * side)


@pytest.mark.parametrize(
    ("shape", "n_classes"), [((8, 8, 1), 10), ((28, 28, 1), 2), ((28, 28, 3), 11), ((64, 48, 3), 4)]
)
def test_each_class_has_a_row_of_whole_tiles(tmp_path, shape, n_classes):
    lines = max(1, 6 // n_classes)
    picture = sheet(tmp_path, shape, n_classes, real=True)
    assert [tiles(picture, 10 + k, shape) for k in range(n_classes)] == [10 * lines] * n_classes
    assert tiles(picture, REAL, shape) == 4 * lines * n_classes
    assert 300 < picture.shape[1] < 1800


def test_of_very_many_classes_the_first_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_MOST_CLASSES", 3)
    few = sheet(tmp_path, (8, 8, 1), 3)
    many = sheet(tmp_path, (8, 8, 1), 4, names=["class 0", "class 1", "class 2"] + [""] * 10**5)
    np.testing.assert_array_equal(few, many)


def test_without_real_images_there_is_none(tmp_path):
    picture = sheet(tmp_path, (8, 8, 1), 10)
    assert (tiles(picture, REAL, (8, 8, 1)), tiles(picture, 12, (8, 8, 1))) == (0, 12)


def test_the_images_of_the_prior_are_a_row_of_their_own(tmp_path):
    shape, labels = (8, 8, 1), np.repeat([0, 1], 30)
    images = np.full((60, *shape), 10, np.uint8)
    prior, path = np.full((500, *shape), 123, np.uint8), tmp_path / "samples.png"
    prior[[0, -1]] = 201  # the first and the last are shown
    samples.samples_png(path, images, labels, ["a", "b"], images, labels, prior)
    picture = np.rint(imread(path)[..., :3] * 255).astype(np.uint8)
    assert tiles(picture, 10, shape) == (4 + 10) * 3 * 2
    assert (tiles(picture, 123, shape), tiles(picture, 201, shape)) == (12, 2)


def test_pixels_are_scaled_without_smoothing(tmp_path):
    image = np.arange(0, 256, 4, dtype=np.uint8).reshape(1, 8, 8, 1)
    path = tmp_path / "samples.png"
    samples.samples_png(path, image, np.zeros(1, int), ["only"])
    picture = np.rint(imread(path)[..., 0] * 255).astype(np.uint8)
    want = np.kron(image[0, ..., 0], np.ones((10, 10), np.uint8))
    np.testing.assert_array_equal(picture[58:138, 88:168], want)  # below the head, past "only"


def test_classes_without_images_and_odd_names_are_drawn(tmp_path):
    names = ["$x_1$ and $", "漢字", "a name that is far too long for the margin it has to fit " * 3]
    picture = sheet(tmp_path, (8, 8, 1), 3, per_class=0, names=names)
    assert tiles(picture, samples.EMPTY, (8, 8, 1)) == 3 * 2 * 12


def test_thumbnails_show_classes_in_turn_and_nothing_else_passes_for_one():
    images = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    text = samples.thumbnails(images, np.repeat([0, 1, 2], [2, 8, 20]))
    assert problem(record() | {"thumbnails": text}) is None
    strip = np.round(255 * imread(io.BytesIO(base64.b64decode(text)))[..., 0]).astype(int)
    assert strip.shape == (4, 5 * samples.THUMBNAILS)
    assert strip[0, ::5].tolist() == [0, 2, 10, 1, 3, 11, 4, 12, 5, 13, 6, 14]
    for wrong in (3, "", "no base64!", base64.b64encode(b"<svg>").decode(), '"><script>'):
        assert "thumbnails" in problem(record() | {"thumbnails": wrong})
