"""Letters of the fonts that matplotlib ships, and random strokes of a pen, warped: public strokes on black.

Characters are letters (Unicode categories Ll, Lu, Lo) that have no numeric value and are not composed of others: Latin,
Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic, Lao, Lisu, Tifinagh, Old Italic, Canadian syllabics, ... No
numeral is among them, in any script. Some letters look like digits all the same; LOOKALIKES lists them:

    0 O o Ο D Օ   1 l I ı   2 z Ϩ շ   3 З з Ȝ ʒ Э   5 S s Ƽ   6 б Б δ ნ   7 Ꞁ ᒣ ꓶ   8 B В Ȣ θ   9 g ց ƍ

The classes of this prior are the characters and the pen's programmes. The VERSION changes with the weights of the
network too: codes and decoded images depend on them.
"""

import functools
import unicodedata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fpu.models import Spec
from fpu.priors import network, pen, warps

FONTS = (
    "DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Oblique", "DejaVuSerif-Italic", "DejaVuSans-Bold",
    "STIXGeneral", "STIXGeneralItalic",
)  # fmt: skip
CATEGORIES = ("Ll", "Lu", "Lo")
PEN = 1500  # programmes of the pen
PEN_SHARE = 0.3  # of the images
_SIDE = 48  # of a picture; the longer side of a letter is 40
_POINTS = 40  # size of the type that is drawn, before it is scaled

# Letters whose codes lie as near to a numeral's as another font's numeral does, or up to twice as far (at side 28).
# None was left out: the pool without them is measured in README.md.
LOOKALIKES = {
    0: "ΟОOՕDoοоօᴏ𐌃ⱭꓳɑⱰꓷʚɒʘᗡ\u05e1",
    1: "ıɪ𐌆ʇɿlΙІⱹIӏɺլꞁӀ",
    2: "շϨϩᙆzꓜ",
    3: "ЗɜзᴈȜʒȝҘЭӠэᴣƎӡⱻ",
    4: "ꜯ",
    5: "ƽsᔆѕЅꓢƼSꜱꞨՏ",
    6: "ნɓбᵷδϭẟϬწƃƂБ",
    7: "ꞀᒣꓶႨᒉ\u05da\u05d3\u05e8",
    8: "ȢΒ𐌁BВ𐌚ɃвზՅꓐθӨ𐌇ꓭƟՑვʙ",
    9: "ցƍɡgǥ\u05e4",
}
EXCLUDED = ""  # letters that are not drawn; "".join(LOOKALIKES.values()) for the ablation

VERSION = f"2-{network.digest('glyphs')}"
KNOWS = (
    "shapes drawn by code and by fonts: warped letters (no numerals) of matplotlib's fonts and random pen strokes; "
    "some letters look like digits"
)


def make(rng: np.random.Generator, n: int, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [n, H, W, 1], int32 [n] classes): warped letters, and warped strokes of the pen.

    Made at side 8 or 28, framed as the digits or MNIST are (fpu/priors/warps.py), and resampled to other sides.
    """
    pictures, classes = drawn()
    letters = len(pictures) - PEN
    by_pen = rng.random(n) < PEN_SHARE
    which = np.where(by_pen, letters + rng.integers(0, PEN, n), rng.integers(0, letters, n))
    images = warps.letters(rng, pictures, which, warps.design(spec.shape))
    return warps.resize(images, spec.shape[:2]), classes[which]


def vary(key: jax.Array, images: np.ndarray, spec: Spec) -> np.ndarray:
    """uint8 [n, H, W, 1]: each image warped a little, and framed again."""
    side = warps.design(spec.shape)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    varied = warps.vary(rng, warps.resize(images, (side, side)), side)
    return warps.resize(varied, spec.shape[:2])


def space(images: np.ndarray, classes: np.ndarray | None, spec: Spec):
    """The shipped network's space; it was trained on this prior, so the pool is not needed."""
    return network.space("glyphs", spec)


@functools.cache
def characters() -> tuple[str, ...]:
    """The characters that some font of FONTS has, in the order of their code points."""
    found = {chr(code) for font in FONTS for code in _codes(font)}
    return tuple(sorted(found))


def is_letter(character: str) -> bool:
    """Whether a character may be drawn: of CATEGORIES, without a numeric value, and not composed of others."""
    return (
        unicodedata.category(character) in CATEGORIES
        and unicodedata.numeric(character, None) is None
        and not unicodedata.decomposition(character)
    )


@functools.cache
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """(float32 [m, 48, 48] in [0, 1], int32 [m] classes): every letter of every font, then PEN strokes; the longer
    side of each is 40 pixels, in the middle. Always the same."""
    names = {character: number for number, character in enumerate(characters())}
    pictures, classes = [], []
    for font in FONTS:
        for code in _codes(font):
            picture = _letter(font, chr(code))
            if picture is not None:
                pictures.append(picture)
                classes.append(names[chr(code)])
    strokes = pen.draw(np.random.default_rng(0), PEN, _SIDE)
    pictures = warps.blurred(np.concatenate([np.stack(pictures), strokes]))
    numbers = [*classes, *(len(names) + np.arange(PEN))]
    return pictures, np.asarray(numbers, np.int32)


def _file(font: str) -> str:
    import matplotlib  # takes a second

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf")


@functools.cache
def _codes(font: str) -> tuple[int, ...]:
    """Code points of a font's letters."""
    from matplotlib.ft2font import FT2Font

    every = sorted(FT2Font(_file(font)).get_charmap())
    return tuple(c for c in every if is_letter(chr(c)) and chr(c) not in EXCLUDED)


@functools.cache
def _type(font: str):
    from PIL import ImageFont

    return ImageFont.truetype(_file(font), _POINTS)


def _letter(font: str, character: str) -> np.ndarray | None:
    """float32 [48, 48]; None for a character without ink, or too small to be a shape."""
    from PIL import Image

    mask: Any = _type(font).getmask(character)
    width, height = mask.size
    if width < 3 or height < 4:
        return None
    ink = Image.frombytes("L", mask.size, bytes(mask))
    scale = (_SIDE - 8) / max(width, height)
    size = max(3, round(width * scale)), max(3, round(height * scale))
    picture = np.zeros((_SIDE, _SIDE), np.float32)
    top, left = (_SIDE - size[1]) // 2, (_SIDE - size[0]) // 2
    shrunk = np.asarray(ink.resize(size, Image.Resampling.BILINEAR), np.float32) / 255.0
    picture[top : top + size[1], left : left + size[0]] = shrunk
    return picture
