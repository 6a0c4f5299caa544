"""Pictures of images: sample sheets, and the thumbnails that a record carries."""

import base64
import io
import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill, shorten

import numpy as np

from fpu.files import safe
from fpu.report.plots import BLUE, GREY

INK, PAPER, EMPTY = "#1c2430", 255, 236
THUMBNAILS = 12
_MOST_CLASSES = 100  # of a sample sheet
_TILE, _GAP, _DIVIDE, _MARGIN, _HEAD = 84, 4, 36, 24, 58  # pixels of a sample sheet


def samples_png(
    path: str | Path,
    synthetic_images: np.ndarray,
    synthetic_labels: np.ndarray,
    class_names: Sequence[str],
    real_images: np.ndarray | None = None,
    real_labels: np.ndarray | None = None,
    prior_images: np.ndarray | None = None,
) -> None:
    """Write a PNG with a row per class: four real images, if given, beside ten synthetic ones.

    Args:
      path: of the file; written whole or not at all.
      synthetic_images, real_images: uint8 [N, H, W, C], C in {1, 3}, with labels int [N]; drawn without smoothing.
      prior_images: uint8 [m, H, W, C] of the public prior; some, from first to last, are a row below the others.

    The first images of each class are shown, not chosen ones; of many classes the first 100. Without real
    images the sheet may be shared as the synthetic images may. With few classes a class takes several lines of tiles.
    """
    blocks = [("Synthetic", BLUE, synthetic_images, synthetic_labels, 12)]
    if real_images is not None:
        blocks = [("Real", GREY, real_images, real_labels, 4), (*blocks[0][:4], 10)]
    class_names = class_names[:_MOST_CLASSES]
    n_classes = len(class_names)
    lines = max(1, 6 // n_classes)
    height, width = synthetic_images.shape[1:3]
    scale = max(1, round(_TILE / max(height, width)))
    size = height * scale, width * scale
    pitch_y, pitch_x = size[0] + _GAP, size[1] + _GAP
    row = lines * pitch_y + (2 * _GAP if lines == 1 else 6 * _GAP)
    names = [fill(shorten(str(name), 54, placeholder="…"), 20) for name in class_names]
    label = 48 + 10 * max(len(line) for name in names for line in name.split("\n"))

    columns = sum(block[-1] for block in blocks)
    full_width = label + columns * pitch_x + (len(blocks) - 1) * _DIVIDE + _MARGIN
    bottom = _HEAD + n_classes * row
    strip = 0 if prior_images is None else _HEAD + pitch_y
    canvas = np.full((bottom + strip + _MARGIN // 2, full_width, 3), PAPER, np.uint8)
    texts = [
        (label - 16, _HEAD + k * row + lines * pitch_y // 2, name, "right")
        for k, name in enumerate(names)
    ]

    def put(images: np.ndarray, top: int, left: int, across: int, count: int) -> None:
        """Tiles of the first `count` images, so many in a line, each pixel as a block; grey where there is none."""
        for i in range(count):
            y, x = top + i // across * pitch_y, left + i % across * pitch_x
            tile = images[i].repeat(scale, 0).repeat(scale, 1) if i < len(images) else EMPTY
            canvas[y : y + size[0], x : x + size[1]] = tile

    x = label
    for title, colour, images, labels, count in blocks:
        end = x + count * pitch_x - _GAP
        canvas[_HEAD - 14 : _HEAD - 11, x:end] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        texts.append((x, _HEAD - 30, title, "left"))
        for k in range(n_classes):
            put(images[labels == k], _HEAD + k * row, x, count, lines * count)
        x = end + _GAP + _DIVIDE
    if prior_images is not None:
        texts.append((label, bottom + _HEAD - 30, "The public prior, not the data", "left"))
        shown = np.linspace(0, len(prior_images) - 1, columns).astype(int)
        put(prior_images[shown], bottom + _HEAD, label, columns, columns)
    _write_png(Path(path), canvas, texts)


def _write_png(path: Path, canvas: np.ndarray, texts: list[tuple]) -> None:
    from matplotlib.figure import Figure  # half a second to import: only when a picture is drawn

    height, width, _ = canvas.shape
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    figure.figimage(canvas)
    for x, y, text, align in texts:
        size, weight = (15, "bold") if align == "left" else (12, "normal")
        at = {"x": x / width, "y": 1 - y / height, "ha": align, "va": "center"}
        figure.text(s=text, color=INK, size=size, weight=weight, parse_math=False, **at)
    with warnings.catch_warnings(), safe.atomic(path) as part:
        warnings.simplefilter("ignore")  # a class name in a script the font lacks is drawn as boxes
        figure.savefig(part, format="png", dpi=100, metadata={"Software": None})


def thumbnails(images: np.ndarray, labels: np.ndarray) -> str:
    """The first images, classes in turn, side by side as a PNG in base64, for a record.

    Pages of many runs show them side by side. Only for runs that are differentially private, so that a page of
    many runs shows no image that is not. images: uint8 [N, H, W, C], C in {1, 3}; labels: int [N].
    """
    from matplotlib.image import imsave  # half a second to import

    queues = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = itertools.zip_longest(*queues)
    shown = [i for turn in turns for i in turn if i is not None][:THUMBNAILS]
    apart = ((0, 0), (0, 0), (0, 1), (0, 0))  # a white column behind each
    strip = np.concatenate(list(np.pad(images[shown], apart, constant_values=255)), axis=1)
    strip = strip.repeat(3, axis=2) if strip.shape[2] == 1 else strip
    buffer = io.BytesIO()
    imsave(buffer, strip, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
