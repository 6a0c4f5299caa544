import re

import numpy as np
import pytest
from matplotlib.image import imread

from fpu.report import figures

REAL = 77  # a grey that nothing else in a sheet has


def sheet(tmp_path, shape, n_classes, per_class=30, real=False, names=None):
    """Synthetic images of one grey per class, real ones of another; the picture as uint8 RGB."""
    labels = np.repeat(np.arange(n_classes), per_class)
    images = np.broadcast_to((10 + labels)[:, None, None, None], (len(labels), *shape)).astype(
        np.uint8
    )
    extra = (np.full_like(images, REAL), labels) if real else ()
    path = tmp_path / "samples.png"
    figures.samples_png(
        path, images, labels, names or [f"class {k}" for k in range(n_classes)], *extra
    )
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
    monkeypatch.setattr(figures, "_MOST_CLASSES", 3)
    few = sheet(tmp_path, (8, 8, 1), 3)
    many = sheet(tmp_path, (8, 8, 1), 4, names=["class 0", "class 1", "class 2"] + [""] * 10**5)
    np.testing.assert_array_equal(few, many)


def test_without_real_images_there_is_none(tmp_path):
    picture = sheet(tmp_path, (8, 8, 1), 10)
    assert tiles(picture, REAL, (8, 8, 1)) == 0
    assert tiles(picture, 12, (8, 8, 1)) == 12


def test_pixels_are_scaled_without_smoothing(tmp_path):
    image = np.arange(0, 256, 4, dtype=np.uint8).reshape(1, 8, 8, 1)
    path = tmp_path / "samples.png"
    figures.samples_png(path, image, np.zeros(1, int), ["only"])
    picture = np.rint(imread(path)[..., 0] * 255).astype(np.uint8)
    want = np.kron(image[0, ..., 0], np.ones((10, 10), np.uint8))
    np.testing.assert_array_equal(picture[58:138, 88:168], want)  # below the head, past "only"


def test_classes_without_images_and_odd_names_are_drawn(tmp_path):
    names = ["$x_1$ and $", "漢字", "a name that is far too long for the margin it has to fit " * 3]
    picture = sheet(tmp_path, (8, 8, 1), 3, per_class=0, names=names)
    assert tiles(picture, figures.EMPTY, (8, 8, 1)) == 3 * 2 * 12


def m(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 9}


def test_bars_place_value_interval_chance_and_limit_on_the_axis():
    svg = figures.bar_svg(m(0.5, 0.25, 1.0), m(0.75, 0.7, 0.8), (0, 1), 0.1, 0.9)
    assert re.search(r'circle class="ours" cx="110.0"', svg)
    assert re.search(r'class="ours" d="M59.0 \d+H212.0', svg)
    assert re.search(r'class="beside" d="M161.0 ', svg)
    assert re.search(r'class="chance" d="M28.4 ', svg)
    assert re.search(r'class="limit" x="191.6"', svg)


def test_bars_stay_on_the_axis_and_leave_out_what_has_no_value():
    svg = figures.bar_svg(m(7.0, -5.0, 9.0), {"value": None}, (0, 1), scale=100)
    assert 'class="beside"' not in svg
    assert "M8.0 9H212.0" in svg
    assert "100 %" in svg


def test_roc_curves_run_from_corner_to_corner_and_escape_names():
    svg = figures.roc_svg({"<b>": ([0, 0.1, 1], [0, 0.5, 1])}, lambda fpr: min(1.0, 2 * fpr))
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg
    assert re.search(r'class="roc roc0" d="M48.0 310.0L.*L348.0 10.0"', svg)
    assert "excluded" in svg
    assert "excluded" not in figures.roc_svg({"a": ([0, 1], [0, 1])}, None)
