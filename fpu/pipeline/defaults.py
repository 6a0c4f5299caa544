"""What a run uses where its flags say nothing: sizes, steps, batches and recipes, by preset.

What differs from model to model is in the model's own file (DEFAULTS).

corrected   our protocol: noise calibrated to eps, random subsets, budgets a laptop can bear
paper       arXiv:2606.07640 as its public code has it: 10 images a class, the first in file order,
            batch 64, Adam 1e-4, 10,000 epochs, sizes of its networks (../README.md lists what we
            do otherwise)
"""

import dataclasses
import math
from typing import Any, NamedTuple

from fpu import models
from fpu.training import Recipe

# Members of each class, and how they are chosen: by a hash of their content, or the first in file order.
PRESETS = {"corrected": (50, "random"), "paper": (10, "first")}

# Where DP-SGD goes on from draws by itself: its share, and from how many privacy units. Measured with 3,708 and 4,708
# X-rays at eps = 1 (experiments/README.md, Stage).
RELEASE_SHARE, STAGE_UNITS = 0.3, 3500


class Learning(NamedTuple):
    """How long, on which batches and by which recipe a model is trained."""

    steps: int
    sampling_rate: float
    recipe: Recipe


def size(preset: str, shape: tuple[int, int, int]) -> str:
    """Which of a model's SIZES fits images of this shape."""
    if preset == "paper":
        return "paper"
    return "tiny" if max(shape[:2]) <= 12 else "default"


def draw_steps(model: str, shape: tuple[int, int, int]) -> int:
    """Steps on the draws: a model's own, 3,000 at larger sides. Public, whatever the data."""
    return models.learning(model).draw_steps if max(shape[:2]) <= 12 else 3000


def defaults(preset: str, model: str, n: int, private: bool, warm: bool = False) -> Learning:
    """Steps, sampling rate and recipe for n privacy units, with or without noise, after a warm-up or not."""
    own = models.learning(model)
    if preset == "paper":
        batches = math.ceil(n / 64)
        recipe = Recipe(learning_rate=1e-4, public_learning_rate=1e-4, b1=own.b1, ema=0.0)
        return Learning(10_000 * batches, 1 / batches, recipe)
    if warm:  # few steps, large batches, a small rate: what the draws taught must not be lost
        recipe = Recipe(
            learning_rate=1e-3, b1=own.b1, ema=0.95, critic_steps=own.critic_steps_after_draws
        )
        return Learning(100, min(1.0, 2048 / n), recipe)
    rate = own.private_learning_rate if private else own.learning_rate
    recipe = Recipe(learning_rate=rate, b1=own.b1, ema=own.ema)
    return Learning(own.steps, min(1.0, 64 / n), recipe)


def release_share(model: str, prior: str, n: int) -> float:
    """The share of the budget for the release that teaches a model: a public rule of public facts.

    1, so that DP-SGD has nothing, but for a DDPM of many images with the prior `scans`, where a stage was measured to
    gain: draws by margin are few kinds of the prior's own images, and DP-SGD brings the model nearer to the members.
    """
    gains = model == "ddpm" and prior == "scans" and n >= STAGE_UNITS
    return RELEASE_SHARE if gains else 1.0


def warmed(model: str, config: Any, prior: str) -> Any:
    """A model's config where draws of a release teach it, in the space of this prior ("none": of none)."""
    own = models.learning(model)
    return dataclasses.replace(config, **own.config_on_draws, **own.config_of_prior.get(prior, {}))
