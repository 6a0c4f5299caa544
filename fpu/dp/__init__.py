"""The mechanism: Poisson sampling, per-example clipping, Gaussian noise, accounting.

Nothing here imports the rest of fpu: it is a library in its own right for any one-example loss. A
training loop needs poisson_plan, keys, sample, clipped_grad and add_noise (README, "As a library").
"""

from fpu.dp.accounting import calibrate, epsilon
from fpu.dp.loop import Batch, clipped_grad, keys, sample
from fpu.dp.noise import ClippedSum, add_noise
from fpu.dp.plan import DPSGD, Plan, Release, poisson_plan
from fpu.dp.rounding import rounded_up

__all__ = [
    "DPSGD",
    "Batch",
    "ClippedSum",
    "Plan",
    "Release",
    "add_noise",
    "calibrate",
    "clipped_grad",
    "epsilon",
    "keys",
    "poisson_plan",
    "rounded_up",
    "sample",
]
