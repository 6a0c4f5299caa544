"""More images from a release, on any machine, without the private data.

    python -m experiments.generate --release=runs/NAME/release --n=1000 --labels=0,1 --out=more.npz

What is drawn is post-processing of what was released: it costs no privacy, however much it is. Writes MedMNIST's
format and, beside it, a picture of the first images of each class.
"""

import pathlib

import jax
import numpy as np
from absl import flags

from fpu import InputError, data, report
from fpu.pipeline import fitting, progress, settings
from fpu.release import generators

MOST = 10**7


def define_flags() -> None:
    """Of this command alone: a test may import it beside another that has an --out too."""
    flags.DEFINE_string("release", None, "folder: release/ of a run")
    flags.DEFINE_integer("n", 1000, "images")
    flags.DEFINE_string(
        "labels", None, "classes to draw, such as 0,1,1,2 (repeats weigh more); default: all"
    )
    flags.DEFINE_integer("seed", 0, "other seeds give other images")
    flags.DEFINE_string("out", None, "file to write, as more.npz")


def generate(release: str, n: int, labels: str | None, seed: int, out: str) -> pathlib.Path:
    """Draw `n` images and write them to `out`, with OUT.png beside it. InputError for bad input."""
    if not 1 <= n <= MOST:
        raise InputError(f"--n={n}: must be 1 to {MOST:,}")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed={seed}: must be 0 or more, and below 2^32")
    target = pathlib.Path(out).expanduser()
    if target.suffix != ".npz":
        raise InputError(f"--out={out}: must end in .npz")
    folder = pathlib.Path(release).expanduser()
    if not (folder / generators.FACTS).is_file():
        raise InputError(
            f"--release={release}: no {generators.FACTS} in it; name release/ of a run"
        )
    generator = generators.load(folder)
    classes = generator.spec.n_classes
    wanted = np.asarray(settings.sampling_labels(labels, classes, n), np.int32)
    images = fitting.draw(generator.sample, jax.random.key(seed), wanted, min(n, fitting.CHUNK))
    data.save_npz(target, images, wanted, classes)
    picture = target.with_suffix(".png")
    report.samples_png(picture, images, wanted, generator.class_names)
    progress.say(f"{n:,} images of {classes} classes; {picture} shows the first of each")
    return target


def main(argv: list[str]) -> None:
    """Draw what the flags say."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --name=value")
    given = flags.FLAGS
    for name in ("release", "out"):
        if given[name].value is None:
            raise InputError(f"--{name} is missing: see --help")
    print(generate(given.release, given.n, given.labels, given.seed, given.out))
