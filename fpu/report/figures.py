"""Pictures: sample sheets as PNG, interval bars and ROC curves as inline SVG."""

import io
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from textwrap import fill, shorten

import numpy as np

from fpu.report.wording import number

BLUE, GREY, INK, PAPER, EMPTY = "#0072b2", "#8a8f98", "#1c2430", 255, 236
_MOST_CLASSES = 100  # of a sample sheet
_TILE, _GAP, _DIVIDE, _MARGIN, _HEAD = 84, 4, 36, 24, 58  # pixels of a sample sheet


def samples_png(
    path: str | Path,
    synthetic_images: np.ndarray,
    synthetic_labels: np.ndarray,
    class_names: Sequence[str],
    real_images: np.ndarray | None = None,
    real_labels: np.ndarray | None = None,
) -> None:
    """Write a PNG with a row per class: four real images, if given, beside ten synthetic ones.

    Args:
      path: of the file; written whole or not at all.
      synthetic_images, real_images: uint8 [N,H,W,C], C in {1, 3}; drawn without smoothing.
      synthetic_labels, real_labels: int [N], in 0..len(class_names)-1.
      class_names: one per class.

    The first images of each class are shown, not chosen ones; of many classes the first 100. Without real
    images the sheet may go wherever the synthetic images may. With few classes a class takes several lines of tiles.
    """
    blocks = [("Synthetic", BLUE, synthetic_images, synthetic_labels, 12)]
    if real_images is not None:
        blocks = [("Real", GREY, real_images, real_labels, 4), (*blocks[0][:4], 10)]
    class_names = class_names[:_MOST_CLASSES]
    n_classes = len(class_names)
    lines = max(1, 6 // n_classes)
    height, width = synthetic_images.shape[1:3]
    scale = max(1, round(_TILE / max(height, width)))
    pitch_y, pitch_x = height * scale + _GAP, width * scale + _GAP
    row = lines * pitch_y + (2 * _GAP if lines == 1 else 6 * _GAP)
    names = [fill(shorten(str(name), 54, placeholder="…"), 20) for name in class_names]
    label = 48 + 10 * max(len(line) for name in names for line in name.split("\n"))

    columns = sum(block[-1] for block in blocks)
    full_width = label + columns * pitch_x + (len(blocks) - 1) * _DIVIDE + _MARGIN
    canvas = np.full((_HEAD + n_classes * row + _MARGIN // 2, full_width, 3), PAPER, np.uint8)
    texts = [
        (label - 16, _HEAD + k * row + lines * pitch_y // 2, name, "right")
        for k, name in enumerate(names)
    ]
    x = label
    for title, colour, images, labels, count in blocks:
        end = x + count * pitch_x - _GAP
        canvas[_HEAD - 14 : _HEAD - 11, x:end] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        texts.append((x, _HEAD - 30, title, "left"))
        for k in range(n_classes):
            mine = np.asarray(images)[np.flatnonzero(np.asarray(labels) == k)[: lines * count]]
            top = _HEAD + k * row
            for i in range(lines * count):
                tile = _tile(mine[i] if i < len(mine) else None, height * scale, width * scale)
                y, left = top + (i // count) * pitch_y, x + (i % count) * pitch_x
                canvas[y : y + height * scale, left : left + width * scale] = tile
        x = end + _GAP + _DIVIDE
    _write_png(Path(path), canvas, texts)


def _tile(image: np.ndarray | None, height: int, width: int) -> np.ndarray | int:
    """The image with each pixel as a block; the grey of a gap where there is none."""
    if image is None:
        return EMPTY
    return image.repeat(height // image.shape[0], axis=0).repeat(width // image.shape[1], axis=1)


def _write_png(path: Path, canvas: np.ndarray, texts: list[tuple]) -> None:
    from matplotlib.figure import Figure  # half a second to import: only when a picture is drawn

    height, width, _ = canvas.shape
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    figure.figimage(canvas)
    for x, y, text, align in texts:
        size, weight = (15, "bold") if align == "left" else (12, "normal")
        at = {"x": x / width, "y": 1 - y / height, "ha": align, "va": "center"}
        figure.text(s=text, color=INK, size=size, weight=weight, parse_math=False, **at)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class name in a script the font lacks is drawn as boxes
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)


def bar_svg(
    metric: dict,
    beside: dict | None,
    ends: tuple[float, float],
    chance: float | None = None,
    limit: float | None = None,
    scale: float = 1.0,
) -> str:
    """Inline SVG: an interval with its value as a dot, a second one below it with a hollow diamond.

    Args:
      metric, beside: {"value", "low", "high", "n"}; one without a value is left out.
      ends: of the axis, printed below it; what lies outside is drawn at the end.
      chance: a dashed line. limit: what lies beyond is shaded as out of reach.
      scale: of the two printed numbers; 100 prints percent.
    """
    low, high = ends
    sign = " %" if scale == 100 else ""

    def at(v: float) -> float:
        return round(8 + 204 * (min(max(v, low), high) - low) / (high - low), 1)

    parts = ['<path class="axis" d="M8 28H212M8 25v6M212 25v6"/>']
    if limit is not None and limit < high:
        x = at(limit)
        parts.append(f'<rect class="limit" x="{x}" y="2" width="{212 - x:.1f}" height="26"/>')
    if chance is not None:
        parts.append(f'<path class="chance" d="M{at(chance)} 1V31"/>')
    for x, anchor, v in ((8, "start", low), (212, "end", high)):
        label = f"{number(scale * v, 2)}{sign}"
        parts.append(f'<text x="{x}" y="42" text-anchor="{anchor}">{label}</text>')
    for kind, m, y in (("ours", metric, 9 if beside else 14), ("beside", beside, 20)):
        if not m or m["value"] is None:
            continue
        if m.get("low") is not None and m.get("high") is not None:
            left, right, cap = at(m["low"]), at(m["high"]), y - 3
            path = f"M{left} {y}H{right}M{left} {cap}v6M{right} {cap}v6"
            parts.append(f'<path class="{kind}" d="{path}"/>')
        parts.append(mark(kind, at(m["value"]), y))
    return f'<svg class="bar" viewBox="0 0 220 46" aria-hidden="true">{"".join(parts)}</svg>'


def mark(kind: str, x: float, y: float) -> str:
    """The dot of "ours", the diamond of "beside"."""
    if kind == "ours":
        return f'<circle class="ours" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<path class="beside" d="M{x} {y - 4}l4 4l-4 4l-4 -4z"/>'


def roc_svg(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    allowed: Callable[[float], float] | None,
) -> str:
    """Inline SVG of ROC curves on two logarithmic axes, from 0.001 to 1.

    Args:
      curves: name -> (false positive rates, true positive rates), both rising; the first four
        are drawn.
      allowed: the highest true positive rate the guarantee leaves at a false positive rate; the
        rest is shaded. None without a guarantee.
    """

    def at(fpr: float, tpr: float) -> str:
        x, y = (1 + math.log10(max(v, 1e-3)) / 3 for v in (fpr, tpr))
        return f"{48 + 300 * x:.1f} {310 - 300 * y:.1f}"

    parts, keys = [], []
    if allowed:
        edge = "L".join(at(f, allowed(f)) for f in np.logspace(-3, 0, 61).tolist())
        parts.append(f'<path class="limit" d="M{at(1e-3, 1)}L{edge}Z"/>')
        keys.append(('<rect class="limit" width="26" height="12" y="-6"/>', "excluded by (ε, δ)"))
    for v in (1e-3, 1e-2, 1e-1, 1):
        lines = f"M{at(v, 1e-3)}L{at(v, 1)}M{at(1e-3, v)}L{at(1, v)}"
        x, y = at(v, v).split()
        parts.append(f'<path class="axis" d="{lines}"/>')
        parts.append(f'<text x="{x}" y="327" text-anchor="middle">{v:g}</text>')
        parts.append(f'<text x="42" y="{float(y) + 4:.1f}" text-anchor="end">{v:g}</text>')
    parts.append(f'<path class="chance" d="M{at(1e-3, 1e-3)}L{at(1, 1)}"/>')
    keys.append(('<path class="chance" d="M0 0h26"/>', "guessing"))
    for i, (name, (fpr, tpr)) in enumerate(list(curves.items())[:4]):
        line = "L".join(at(f, t) for f, t in zip(fpr, tpr, strict=True))
        parts.append(f'<path class="roc roc{i}" d="M{line}"/>')
        keys.append((f'<path class="roc roc{i}" d="M0 0h26"/>', name))
    for i, (sign, name) in enumerate(keys):
        text = f'<text class="key" x="34" y="4">{escape(name)}</text>'
        parts.append(f'<g transform="translate(368 {24 + 22 * i})">{sign}{text}</g>')
    parts.append('<text x="198" y="346" text-anchor="middle">false positive rate</text>')
    parts.append('<text transform="translate(11 160) rotate(-90)">true positive rate</text>')
    head = '<svg class="curves" viewBox="0 0 560 352" role="img"'
    return f'{head} aria-label="ROC curves of the membership attacks">{"".join(parts)}</svg>'
