"""Training: the DP-SGD step, cells that share one program, checkpoints, warm-up on draws."""

from fpu.training.dpsgd import Cell, Pool, Recipe, State, check_cells, initial, optimizers, step
from fpu.training.loop import compiled, fit, fit_all

__all__ = [
    "Cell", "Pool", "Recipe", "State", "check_cells", "compiled", "fit", "fit_all", "initial",
    "optimizers", "step",
]  # fmt: skip
