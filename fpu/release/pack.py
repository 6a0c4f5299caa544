"""The release: the one folder of a run that may be handed out. It holds what the guarantee covers and public facts.

    synthetic.npz       the images, in MedMNIST's format            samples.png   the first of each class
    images/, labels.csv the same images as files (formats.py)       privacy.json, .yaml, PRIVACY.md   the guarantee
    generator.npz/json  draws more of them: fpu generate            README.md     what it is, how to open it, what for

It is written beside its place, scanned (scan.py) and then renamed, so that it is there whole or not at all.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import Dataset, load_images, save_npz
from fpu.files import safe
from fpu.release import card, formats, generators, scan, texts


def write(
    folder: Path,
    guarantee: dict,
    images: np.ndarray,
    labels: np.ndarray,
    dataset: Dataset,
    generator: generators.Generator | None,
    picture: Callable[[Path], None],
) -> None:
    """Write the release as `folder`.

    A release that is there already stays as it is, provided that it holds the same guarantee, images and generator:
    the run that wrote it was killed afterwards and repeated. Any other is never replaced: two releases of the same
    members with different noise cost more than either of them states.

    Args:
      guarantee: what texts.privacy returned.
      images, labels: synthetic; uint8 [n, H, W, C] and ints [n].
      dataset: for its public facts alone: name, class names, shape. Its images are never looked at: to refuse a
        release for an image that is like a real one would be a query of the real ones that nobody accounts for.
      generator: None where none may be handed out.
      picture: called with a path, writes a PNG of synthetic images.

    Raises InputError, leaving nothing behind, where the scan refuses what was written or another release is there.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        save_npz(part / scan.IMAGES, images, labels, dataset.n_classes)
        formats.write(part, images, labels, dataset.class_names)
        picture(part / scan.PICTURE)
        if generator is not None:
            generators.save(part, generator)
        safe.write_json(part / scan.GUARANTEE, guarantee)
        made_by, prior = (generator.model, generator.prior) if generator else (None, None)
        sheet = texts.datasheet(guarantee, labels, dataset, made_by, prior is not None)
        safe.write_text(part / "PRIVACY.md", texts.privacy_page(guarantee))
        safe.write_text(part / card.README, sheet)
        if filed := texts.filed(guarantee, len(labels), dataset, made_by):
            safe.write_text(part / card.REGISTRY, filed)
        scan.scan(part, generators.BUILT_IN if prior is None else lambda name, spec: prior)
        if not folder.exists():
            part.rename(folder)
        elif not _same(part, folder):
            raise InputError(
                f"{folder}: holds another release, and a finished release is never replaced; name another --workdir"
            )
    finally:
        shutil.rmtree(part, ignore_errors=True)


def withdraw(folder: Path, reason: str) -> Path | None:
    """Take back a release whose guarantee was refuted: FOLDER.refuted, whose texts say so. None where there is none."""
    if not folder.exists():
        return None
    withdrawn = folder.with_name(f"{folder.name}.refuted")
    shutil.rmtree(withdrawn, ignore_errors=True)
    guarantee = card.guarantee(folder)
    guarantee |= {"private": False, "eps": "inf", "statement": f"REFUTED. {reason}"}
    folder.rename(withdrawn)  # first: from here on nothing is called a release
    safe.write_json(withdrawn / scan.GUARANTEE, guarantee)
    safe.write_text(withdrawn / "PRIVACY.md", texts.privacy_page(guarantee))
    card.refute(withdrawn, reason)
    return withdrawn


def _same(part: Path, folder: Path) -> bool:
    """Whether two releases hold the same guarantee, images and generator, whatever the packing of their files."""
    for name in (scan.GUARANTEE, generators.FACTS):
        files = [place / name for place in (part, folder)]
        new, old = (file.read_bytes() if file.exists() else None for file in files)
        if new != old:
            return False
    arrays = [[*load_images(place / scan.IMAGES)] for place in (part, folder)]
    if (part / generators.NUMBERS).exists():
        path, other = part / generators.NUMBERS, folder / generators.NUMBERS
        names = safe.npz_names(path, generators.MOST)
        if sorted(names) != sorted(safe.npz_names(other, generators.MOST)):
            return False
        for held, file in zip(arrays, (path, other), strict=True):
            held += safe.npz_arrays(file, names).values()
    return all(map(np.array_equal, *arrays))
