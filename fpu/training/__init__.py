"""Training: the DP-SGD step, cells that share one program, checkpoints, several devices, warm-up."""

from fpu.training.loop import Cell, Pool, Recipe, State, compiled, fit, initial, step

__all__ = ["Cell", "Pool", "Recipe", "State", "compiled", "fit", "initial", "step"]
