"""Fidelity: how close synthetic images are to real ones that the generator never saw."""

from fpu.fidelity.distances import fd, fd_inf, frechet, kid
from fpu.fidelity.diversity import vendi
from fpu.fidelity.manifold import coverage, coverage_ceiling, density, precision, recall
from fpu.fidelity.memorisation import authenticity, data_copying, near_copies
from fpu.fidelity.metrics import FIDELITY, Metric, compare, control, values
