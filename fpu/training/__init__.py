"""Training: the DP-SGD step, cells that share one program, checkpoints, warm-up on draws."""

from fpu.training.dpsgd import Cell, Pool, Recipe, State, check_cells, initial, step
from fpu.training.loop import fit
from fpu.training.programs import compiled

__all__ = [
    "Cell", "Pool", "Recipe", "State", "check_cells", "compiled", "fit", "initial", "step",
]  # fmt: skip
