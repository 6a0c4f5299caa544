"""What a run uses where its flags say nothing: sizes, steps, batches and recipes, by protocol.

corrected   our protocol: noise calibrated to eps, random subsets, budgets a laptop can bear
paper       arXiv:2606.07640 as its public code has it: 10 images a class, the first in file order,
            batch 64, Adam 1e-4, 10,000 epochs, sizes of its networks (../README.md lists what we
            do otherwise)
"""

import dataclasses
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


def warmup_steps(shape: tuple[int, int, int]) -> int:
    """Steps on the draws: larger networks go on learning from them for longer. Public, whatever the data."""
    return 1000 if max(shape[:2]) <= 12 else 3000


def members_per_class(preset: str) -> int:
    """Members of each class where neither --n_per_class nor --n_train is given."""
    return 10 if preset == "paper" else 50


def subset(preset: str) -> str:
    """How members are chosen: at random, or the first in file order."""
    return "first" if preset == "paper" else "random"


def defaults(preset: str, model: str, n: int, private: bool, warm: bool = False) -> Defaults:
    """Steps, sampling rate and recipe for n privacy units, with or without noise, after a warm-up or not."""
    if preset == "paper":
        batches = math.ceil(n / 64)
        momentum = 0.5 if model == "gan" else 0.9
        recipe = Recipe(learning_rate=1e-4, public_learning_rate=1e-4, b1=momentum, ema=0.0)
        return Defaults(10_000 * batches, 1 / batches, recipe)
    steps, rate, private_rate, recipe = _CORRECTED[model]
    if warm:  # few, large and small-stepped: what is there already must not be lost
        recipe = dataclasses.replace(recipe, learning_rate=1e-3, ema=0.95)
        if model == "gan":  # its generator must not follow a critic that noise has just thrown
            recipe = dataclasses.replace(recipe, critic_steps=5)
        return Defaults(100, min(1.0, 2048 / n), recipe)
    recipe = dataclasses.replace(recipe, learning_rate=private_rate if private else rate)
    return Defaults(steps, min(1.0, 64 / n), recipe)


def warmed(model: str, config):
    """A model's config where draws from a normal distribution teach it: less regularised, they are smooth."""
    return dataclasses.replace(config, **_WARMED.get(model, {}))


_WARMED = {"vae": {"beta": 0.1}, "gan": {"penalty": 0.1}}

# Steps; learning rate without and with noise; the rest. Under noise larger rates pay: all gradients
# are clipped, so each step says little and Adam averages what it says.
_CORRECTED = {
    "vae": (1000, 2e-3, 3e-3, Recipe(ema=0.99)),
    "gan": (1000, 1e-3, 1e-3, Recipe(b1=0.5, ema=0.995)),
    "ddpm": (1000, 2e-3, 3e-3, Recipe(ema=0.99)),
}
