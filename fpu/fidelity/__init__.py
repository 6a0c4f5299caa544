"""Fidelity: how close synthetic images are to real ones that the generator never saw."""

from fpu.fidelity.distances import fd, fd_inf, frechet, kid
from fpu.fidelity.diversity import vendi
from fpu.fidelity.manifold import coverage, coverage_ceiling, density, precision, recall
from fpu.fidelity.memorisation import authenticity, data_copying, near_copies
from fpu.fidelity.metrics import FIDELITY, Metric, compare, control, values

__all__ = [
    "FIDELITY", "Metric", "authenticity", "compare", "control", "coverage", "coverage_ceiling",
    "data_copying", "density", "fd", "fd_inf", "frechet", "kid", "near_copies", "precision",
    "recall", "values", "vendi",
]  # fmt: skip
