"""The mechanism: Poisson sampling, per-example clipping, Gaussian noise, accounting.

Nothing here imports the rest of fpu: it is a library in its own right for any one-example loss. A
training loop needs poisson_plan, keys, sample, clipped_grad and add_noise (README, "As a library").
"""

from fpu.dp.accounting import calibrate, epsilon
from fpu.dp.clipping import Diagnostics, clipped_grad
from fpu.dp.noise import ClippedSum, add_noise
from fpu.dp.plan import DPSGD, Plan, Release, poisson_plan
from fpu.dp.rounding import rounded_up
from fpu.dp.sampling import Batch, StepKey, fresh_key, keys, sample

__all__ = [
    "DPSGD", "Batch", "ClippedSum", "Diagnostics", "Plan", "Release", "StepKey", "add_noise",
    "calibrate", "clipped_grad", "epsilon", "fresh_key", "keys", "poisson_plan", "rounded_up",
    "sample",
]  # fmt: skip
