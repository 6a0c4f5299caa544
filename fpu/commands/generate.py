"""Draw more images from a release, on any machine, without the private data.

    fpu generate --release=runs/NAME/release --n=1000 --out=more.npz
    fpu generate --release=runs/NAME/release --n=1000 --labels=0,1 --format=png --out=more

What is drawn is post-processing of what was released: it costs no privacy, however much it is. Formats:

    npz    MedMNIST's, and beside it a picture of the first images of each class
    png    a folder with one subfolder for each class: torchvision's ImageFolder and torch-fidelity read it
    tfds   a folder that tfds.data_source("synthetic", split="train", data_dir=FOLDER) opens
"""

import functools
import pathlib

import jax
from absl import flags

from fpu import InputError, data, priors, report
from fpu.data import folders
from fpu.pipeline import draw, progress, settings
from fpu.release import generators

MOST = 10**7
FORMATS = ("npz", "png", "tfds")
GROUPS = {"Common flags": ("release", "out", "n"), "Others": ("format", "labels", "seed", "prior")}


def define_flags() -> None:
    flags.DEFINE_string("release", None, "folder: release/ of a run")
    flags.DEFINE_string("out", None, "file to write, as more.npz; for png and tfds a new folder")
    flags.DEFINE_integer("n", 1000, "number of images (default 1000)")
    flags.DEFINE_string(
        "format", "npz", "npz (default), png (one subfolder a class) or tfds (tensorflow-datasets)"
    )
    flags.DEFINE_string(
        "labels", None, "classes to draw, as 0,1,1,2 (repeats weigh more; default: all, evenly)"
    )
    flags.DEFINE_integer("seed", 0, "another seed gives other images (default 0)")
    flags.DEFINE_string(
        "prior",
        None,
        "where the release draws images of a prior that is not fpu's own: images:WHAT or module:function. Its version "
        "is checked; a module is run, so trust it",
    )


def generate(
    release: str,
    n: int,
    labels: str | None,
    seed: int,
    out: str,
    form: str = "npz",
    prior: str | None = None,
) -> pathlib.Path:
    """Draw `n` images and write them to `out` in a format of FORMATS. InputError for bad input."""
    settings.named("--format=", form, FORMATS)
    settings.whole("n", n, 1, MOST)
    settings.whole("seed", seed, *settings.SEEDS)
    folder = pathlib.Path(release).expanduser()
    if not (folder / generators.FACTS).is_file():
        raise InputError(
            f"--release={release}: no {generators.FACTS} in it; name release/ of a run"
        )
    target = _target(out, folder, form)
    if prior is not None:
        priors.check(prior)
    generator = generators.load(folder, functools.partial(generators.named, prior))
    if prior is not None and generator.prior is None:
        raise InputError(f"--prior={prior}: this release draws without a prior; leave it out")
    classes = generator.spec.n_classes
    wanted = settings.sampling_labels(labels, classes, n)
    size = draw.CHUNK if generator.prior is None else draw.MANY
    images = draw.draw(generator.sample, jax.random.key(seed), wanted, min(n, size))
    if form == "png":
        data.save_folder(target, images, wanted, generator.class_names)
    elif form == "tfds":
        from fpu.release import tfds  # takes a second

        tfds.prepare(target, images, wanted, classes)
    else:
        data.save_npz(target, images, wanted, classes)
        report.samples_png(target.with_suffix(".png"), images, wanted, generator.class_names)
    progress.say(f"{n:,} images of {len(set(wanted.tolist()))} classes")
    return target


def _target(out: str, release: pathlib.Path, form: str) -> pathlib.Path:
    """Where to write; InputError where that cannot be."""
    target = pathlib.Path(out).expanduser()
    if "://" in out:
        raise InputError(f"--out={out}: name a file or folder of this machine")
    if release.resolve() in (target.resolve(), *target.resolve().parents):
        raise InputError(
            f"--out={out}: lies in the release, which is not changed; name another place"
        )
    if form == "npz" and target.suffix != ".npz":
        raise InputError(f"--out={out}: must end in .npz")
    if form != "npz":
        folders.refuse_full(target)
    return target


def main(_: list[str]) -> None:
    """Draw what the flags say."""
    given = flags.FLAGS
    for name in ("release", "out"):
        if given[name].value is None:
            raise InputError(f"--{name} is missing: see --help")
    asked = given.release, given.n, given.labels, given.seed, given.out, given.format, given.prior
    print(generate(*asked))
