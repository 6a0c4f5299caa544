"""The pack that may leave the house: what differential privacy covers, what is public, and nothing else.

    synthetic.npz       the images, in MedMNIST's format            samples.png   the first of each class
    generator.npz/json  draws more of them: experiments.generate    privacy.json, PRIVACY.md   the guarantee
    DATASHEET.md        what it is, how to read it, what it is not for

`scan` refuses whatever else is found in the folder. It is run on every pack before it gets its name.
"""

import json
import math
import shutil
import struct
from importlib import metadata
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.data import npz
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan
from fpu.files import safe
from fpu.release import generators

NOT_COVERED = (
    "choices made by looking at other runs on the same data, such as tuning",
    "the number of training examples and of classes, which are taken to be public",
    "persons with several examples, unless the examples were given as groups: the unit is what is named here",
    "floating-point arithmetic, and the random generator Threefry, which is not cryptographic",
    "what is true of such images in general, whoever took part",
)
IMAGES, PICTURE, GUARANTEE = "synthetic.npz", "samples.png", "privacy.json"
FILES = (IMAGES, PICTURE, generators.NUMBERS, generators.FACTS, GUARANTEE)
TEXTS = ("PRIVACY.md", "DATASHEET.md")
_ROOTS = ("private", "public", "centre", "means", "rest", "top", "class_root", "params")
_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"sBIT", b"tRNS"}


def privacy(plan: Plan, disclosed: bool) -> dict:
    """The guarantee, JSON-able. `disclosed`: the noise came from a seed that somebody chose."""
    eps, accountant = accounting.epsilon(plan)
    return {
        "private": plan.private and not disclosed,
        "eps": "inf" if math.isinf(eps) else eps,
        "delta": plan.delta,
        "unit": plan.unit,
        "relation": plan.relation,
        "mechanisms": [_mechanism(stage) for stage in plan.stages],
        "accountant": f"{accountant}, dp-accounting {metadata.version('dp-accounting')}",
        "noise_seed_disclosed": disclosed,
        "statement": plan.statement(disclosed),
        "not_covered": list(NOT_COVERED),
    }


def _mechanism(stage) -> dict:
    facts = {"noise_multiplier": stage.noise_multiplier}
    if not isinstance(stage, DPSGD):
        return {"mechanism": "one Gaussian release of sums"} | facts
    return facts | {
        "mechanism": "DP-SGD",
        "sampling": "Poisson",
        "sampling_rate": stage.sampling_rate,
        "steps": stage.steps,
        "n": stage.n,
        "capacity": stage.capacity,
    }


def write(folder: Path, guarantee: dict, images, labels, dataset, generator, picture) -> None:
    """Write the pack as `folder`, scanned, whole or not at all. A pack that is there is replaced.

    Args:
      guarantee: what `privacy` returned.
      images, labels: synthetic; uint8 [n, H, W, C] and ints [n].
      dataset: a Dataset, for its public facts: name, class names, shape.
      generator: a generators.Generator; None where none may be handed out.
      picture: called with a path, writes a PNG of synthetic images.

    Raises InputError where the scan refuses it; nothing is then left behind.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        npz.save_npz(part / IMAGES, images, labels, dataset.n_classes)
        picture(part / PICTURE)
        if generator is not None:
            generators.save(part, generator)
        (part / GUARANTEE).write_text(json.dumps(guarantee, indent=1) + "\n", encoding="utf-8")
        (part / "PRIVACY.md").write_text(_privacy_text(guarantee), encoding="utf-8")
        sheet = _datasheet(guarantee, labels, dataset, generator)
        (part / "DATASHEET.md").write_text(sheet, encoding="utf-8")
        scan(part, dataset.images if guarantee["private"] else None)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def scan(folder: Path, real=None) -> None:
    """Refuse a pack that holds anything it should not.

    Args:
      folder: of the pack.
      real: uint8 [N, H, W, C], images none of which may be among the synthetic ones, byte by byte. A noised
        generator does not do that: it is a fault of the program that is looked for, before it gets out.

    Raises InputError: a file, array, field or picture comment that does not belong there (keys, optimizer state,
    member indices, metrics of private data), numbers that are not finite, a real image.
    """
    for path in sorted(folder.iterdir()):
        if path.name not in (*FILES, *TEXTS) or path.is_symlink() or not path.is_file():
            raise InputError(f"{path}: does not belong into a release; only release/ may leave")
    _scan_images(folder / IMAGES, real)
    _scan_picture(folder / PICTURE)
    if (folder / generators.NUMBERS).exists():
        generators.load(folder)
        for name in safe.npz_names(folder / generators.NUMBERS, 10**5):
            if name.split("/")[0] not in _ROOTS:
                raise InputError(f"{folder / generators.NUMBERS}: {name} is not of a generator")
    with safe.one_line(folder / GUARANTEE, "the guarantee of a release"):
        held = json.loads((folder / GUARANTEE).read_text(encoding="utf-8"))
        if set(held) != set(privacy(Plan(0.5, ()), False)):
            raise ValueError("its fields are not those of fpu")


def _scan_images(path, real) -> None:
    fields = [f"{split}_{part}" for split in npz.SPLITS for part in ("images", "labels")]
    if sorted(safe.npz_names(path, len(fields))) != sorted(fields):
        raise InputError(f"{path}: holds other arrays than synthetic images and labels")
    headers = safe.npz_headers(path, fields)
    for field in fields[2:]:
        if headers[field][0][:1] != (0,):
            raise InputError(f"{path}: {field} is not empty: val and test would be real images")
    images, _ = npz.load_images(path)
    if real is not None:
        known = {image.tobytes() for image in np.ascontiguousarray(real)}
        if any(
            image.tobytes() in known for image in images if np.ptp(image)
        ):  # blank ones are alike
            raise InputError(
                f"{path}: holds a real image, pixel by pixel; nothing is released. Report this as a fault"
            )


def _scan_picture(path) -> None:
    """A PNG of pixels alone: no comment, no metadata."""
    with safe.one_line(path, "a PNG of pixels alone"):
        data, at = path.read_bytes(), 8
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError("no PNG")
        while at < len(data):
            (length,) = struct.unpack(">I", data[at : at + 4])
            if (kind := data[at + 4 : at + 8]) not in _CHUNKS:
                raise ValueError(f"it holds {kind!r}")
            at += 12 + length
        if at != len(data) or kind != b"IEND":
            raise ValueError("it goes on after its end")


def _privacy_text(guarantee: dict) -> str:
    if not guarantee["private"]:
        head = "# NOT private\n\nGuard these files as you guard the real images."
    else:
        eps = math.ceil(float(guarantee["eps"]) * 1e4) / 1e4  # never rounded down
        head = (
            f"# ({eps:g}, {guarantee['delta']:.3g})-differential privacy\n\n"
            f"Unit: one {guarantee['unit']}. Relation: {guarantee['relation'].replace('_', ' ')}. "
            "It holds for every file in this folder, against anyone, whatever else they know."
        )
    lines = "\n".join(f"* {line}" for line in guarantee["not_covered"])
    return (
        f"{head}\n\n{guarantee['statement']}\n\n## Not covered\n\n{lines}\n\n"
        "The same facts for a program: `privacy.json`.\n"
    )


def _datasheet(guarantee, labels, dataset, generator) -> str:
    counts = np.bincount(labels, minlength=dataset.n_classes)
    side = "x".join(map(str, dataset.shape[:2])) + (" grey" if dataset.shape[2] == 1 else " RGB")
    rows = [f"| {k} | {name} | {counts[k]:,} |" for k, name in enumerate(dataset.class_names)]
    made = "" if generator is None else f" by the model `{generator.model}`"
    more = (
        "No generator is in this folder: the images are copies, or noise, not draws of a model."
        if generator is None
        else "More images, on any machine, without the real data:\n"
        "`python -m experiments.generate --release=THIS_FOLDER --n=1000 --out=more.npz`"
    )
    guard = "PRIVACY.md" if guarantee["private"] else "PRIVACY.md: NOT private"
    return "\n".join(
        [
            f"# Synthetic images after {dataset.name}",
            "",
            f"{len(labels):,} images, {side}, made{made} of fpu {metadata.version('fpu')}. Guarantee: {guard}.",
            "How many there are of each class was chosen by the maker and says nothing of the real data.",
            "",
            "![the first images of each class](samples.png)",
            "",
            "| label | class | images |",
            "|---|---|---|",
            *rows,
            "",
            "## How to read them",
            "",
            "`numpy.load('synthetic.npz')`: `train_images` uint8, `train_labels`; `val_*` and `test_*` are empty.",
            "It is MedMNIST's format, so loaders of that format read it.",
            "",
            more,
            "",
            "## What they are for, and what not",
            "",
            "For developing and testing programs, and for training where their maker has measured that it works.",
            "Not for diagnosis; no expert has judged them. They may miss rare kinds of images and repeat the biases",
            "of the real ones. Measurements against real images are not in this folder: they are not private.",
            "The licence of the real images may bind what is derived from them: ask whoever holds them.",
            "",
        ]
    )
