"""The scan of a release: names, structure and sizes of everything in it, before it gets its name.

It looks at the release alone, never at the real images.
"""

from pathlib import Path

from fpu import InputError
from fpu.baselines import RELEASES
from fpu.data import npz
from fpu.dp.plan import Plan
from fpu.files import safe
from fpu.priors import conditioning
from fpu.release import card, formats, generators, registry, texts

IMAGES, PICTURE, GUARANTEE = "synthetic.npz", "samples.png", card.GUARANTEE
FILES = (IMAGES, formats.LABELS, PICTURE, generators.NUMBERS, generators.FACTS, GUARANTEE)
TEXTS = ("PRIVACY.md", card.README, card.REGISTRY)
_OF_A_MODEL = ("private", "public", conditioning.CODES, conditioning.TONES)


def scan(folder: Path, find: generators.Find = generators.BUILT_IN) -> None:
    """Refuse a release that holds anything it should not. `find`: see generators.load.

    Raises InputError: a file, array, field or picture comment that does not belong there (keys, optimizer state,
    indices of members, measurements on private data), numbers that are not finite, a generator that cannot be read.
    """
    for path in sorted(folder.iterdir()):
        known = path.is_dir() if path.name == formats.IMAGES else path.name in (*FILES, *TEXTS)
        if not known or path.is_symlink() or path.is_dir() != (path.name == formats.IMAGES):
            raise InputError(f"{path}: does not belong into a release; remove it")
    _scan_images(folder / IMAGES)
    formats.scan(folder, *npz.load_images(folder / IMAGES))
    formats.scan_png(folder / PICTURE)
    numbers = folder / generators.NUMBERS
    if numbers.exists():
        model = generators.load(folder, find).model
        parameters = RELEASES[model].PARAMETERS if model in RELEASES else _OF_A_MODEL
        for name in safe.npz_names(numbers, generators.MOST):
            if not {name, name.split("/")[0]} & set(parameters):
                raise InputError(f"{numbers}: {name} is not of a generator")
    with safe.one_line(folder / GUARANTEE, "the guarantee of a release"):
        if set(card.guarantee(folder)) != set(texts.privacy(Plan(0.5, ()), False)):
            raise ValueError("its fields are not those of fpu")
    scan_card(folder)


def scan_card(folder: Path) -> None:
    """Refuse a README.md of another form, and a privacy.yaml that says something else than privacy.json."""
    card.split(folder)
    guarantee = card.guarantee(folder)
    path = folder / card.REGISTRY
    if path.exists() != guarantee["private"]:
        raise InputError(f"{path}: is there only where something is guaranteed, and then always")
    if path.exists() and not registry.agrees(card.record(folder), guarantee):
        raise InputError(f"{path}: says something else than {GUARANTEE}, or more")


def _scan_images(path: Path) -> None:
    fields = [f"{split}_{part}" for split in npz.SPLITS for part in ("images", "labels")]
    if sorted(safe.npz_names(path, len(fields))) != sorted(fields):
        raise InputError(f"{path}: holds other arrays than synthetic images and labels")
    headers = safe.npz_headers(path, fields)
    for field in fields[2:]:
        if headers[field][0][:1] != (0,):
            raise InputError(f"{path}: {field} is not empty: val and test would be real images")
