"""What a run uses where its flags say nothing: sizes, steps, batches and recipes, by protocol.

corrected   our protocol: noise calibrated to eps, random subsets, budgets a laptop can bear
paper       arXiv:2606.07640 as its public code has it: 10 images a class, the first in file order,
            batch 64, Adam 1e-4, 10,000 epochs, sizes of its networks (../README.md lists what we
            do otherwise)
"""

import math
from typing import NamedTuple

from fpu.training import Recipe

PRESETS = ("corrected", "paper")


class Defaults(NamedTuple):
    """Learning-side defaults of one model."""

    steps: int
    sampling_rate: float
    recipe: Recipe


def size(preset: str, shape: tuple[int, int, int]) -> str:
    """Which of a model's SIZES fits images of this shape."""
    if preset == "paper":
        return "paper"
    return "tiny" if max(shape[:2]) <= 12 else "default"


def members_per_class(preset: str) -> int:
    """Members of each class where neither --n_per_class nor --n_train is given."""
    return 10 if preset == "paper" else 50


def subset(preset: str) -> str:
    """How members are chosen: at random, or the first in file order."""
    return "first" if preset == "paper" else "random"


def defaults(preset: str, model: str, size: str, n: int) -> Defaults:
    """Steps, sampling rate and recipe for n privacy units."""
    if preset == "paper":
        batches = math.ceil(n / 64)
        momentum = 0.5 if model == "gan" else 0.9
        recipe = Recipe(learning_rate=1e-4, public_learning_rate=1e-4, b1=momentum, ema=0.0)
        return Defaults(10_000 * batches, 1 / batches, recipe)
    batch, steps, recipe = _CORRECTED[model]
    if size == "tiny":
        batch = batch // 2
    return Defaults(steps, min(1.0, batch / n), recipe)


_CORRECTED = {
    "vae": (128, 1000, Recipe(learning_rate=2e-3, ema=0.99)),
    "gan": (128, 1500, Recipe(learning_rate=1e-3, public_learning_rate=1e-3, b1=0.5, ema=0.995)),
    "ddpm": (128, 1000, Recipe(learning_rate=2e-3, ema=0.99)),
}
