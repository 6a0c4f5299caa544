"""Train the network of a public prior, on images made by code; or clear the cache of pools.

    fpu prior --prior=glyphs --side=28
    fpu prior --clear

The weights that the package ships were made by this command; nobody needs it to make images. It sees no private data.
With the same seed and machine it writes the same file. --clear removes what runs have kept of their priors' images
(at most 200 MB for each prior and shape, in the user's cache): the next run makes them again, in seconds.
"""

import hashlib
import pathlib
import shutil
import time

import numpy as np
from absl import flags

from fpu import InputError
from fpu.files import cache
from fpu.models import Spec
from fpu.pipeline import progress, settings
from fpu.priors import glyphs, network, training

STEPS = {8: 15_000, 28: 30_000}
ROUND = 40_000  # images that are made anew, and then used twice


def define_flags() -> None:
    flags.DEFINE_string("prior", "glyphs", "which prior: glyphs (default glyphs)")
    flags.DEFINE_integer("side", 28, "side of the images: 8 or 28 (default 28)")
    flags.DEFINE_integer(
        "steps", 0, f"training steps (default {STEPS[8]:,} at 8, {STEPS[28]:,} at 28)"
    )
    flags.DEFINE_integer("seed", 0, "another seed gives other weights (default 0)")
    flags.DEFINE_string(
        "out", str(network.FOLDER), "folder to write to (default: the package's own)"
    )
    flags.DEFINE_bool("clear", False, "remove the pools that runs have kept, and do nothing else")


def train(prior: str, side: int, steps: int, seed: int, out: str) -> pathlib.Path:
    """Train a network on a prior's images and write its weights. InputError for bad input."""
    if prior != "glyphs":
        raise InputError(f"--prior={prior}: only glyphs has a network to train")
    if side not in network.CONFIGS:
        raise InputError(f"--side={side}: 8 or 28; images of other sides are resampled")
    settings.whole("steps", steps, 0, settings.MOST_STEPS)
    settings.whole("seed", seed, *settings.SEEDS)
    steps, spec = steps or STEPS[side], Spec((side, side, 1), 1)
    rng, began = np.random.default_rng(seed), time.monotonic()
    kinds = glyphs.drawn()[1]

    def say(step, losses):
        if step % max(steps // 20, 1) == 0 or step == steps:
            nats, kl, naming = losses
            took = time.monotonic() - began
            progress.say(
                f"step {step:,} of {steps:,}: {nats:.1f} nats of pixels, KL {kl:.1f}, class {naming:.2f} nats; "
                f"{took:.0f} s"
            )

    params = training.fit(
        network.CONFIGS[side], batches(rng, spec), int(kinds.max()) + 1, steps, seed, say
    )
    path = pathlib.Path(out).expanduser() / network.weights(prior, side).name
    network.save(path, params)
    progress.say(f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return path


def batches(rng: np.random.Generator, spec: Spec):
    """Endless (images, classes) of training.BATCH: rounds of new images, each used twice in random order."""
    while True:
        images, kinds = glyphs.make(rng, ROUND, spec)
        for _ in range(2):
            order = rng.permutation(ROUND)[: ROUND // training.BATCH * training.BATCH]
            for rows in order.reshape(-1, training.BATCH):
                yield images[rows], kinds[rows]


def clear() -> str:
    """Remove the pools in the user's cache; a line that says what went."""
    folder = cache.folder("priors")
    if folder is None:
        return "no cache, so nothing to clear"
    files = list(folder.glob("*.npz"))
    size = sum(path.stat().st_size for path in files)
    shutil.rmtree(folder)
    return f"{folder}: {len(files)} pool{'s' * (len(files) != 1)} removed, {size / 1e6:.0f} MB"


def main(_: list[str]) -> None:
    """Do what the flags say."""
    given = flags.FLAGS
    if given.clear:
        print(clear())
    else:
        print(train(given.prior, given.side, given.steps, given.seed, given.out))
