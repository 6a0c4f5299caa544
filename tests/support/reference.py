"""Trainings of the tiny models on one device, handed to the processes that repeat them on several."""

import functools
import os

import jax
import numpy as np
import tiny

FILE = "FPU_TEST_REFERENCE"  # the environment variable that names the file
STEPS = (1, 4)


def write(path) -> None:
    """Write the trainings to a file; the tests of this session make them anyway."""
    np.savez(path, **{key(n, s, i): x for n in tiny.NAMES for s in STEPS for i, x in _all(n, s)})


def key(name, step, number) -> str:
    return f"{name} {step} {number}"


def _all(name, step):
    return enumerate(compared(tiny.fitted(name)[step]))


def compared(state):
    """Leaves to compare. Not the optimizer states, which are larger and show in the parameters."""
    return tiny.leaves((state.params, state.ema, state.diagnostics))


@functools.cache
def _read():
    return dict(np.load(os.environ[FILE]))


def check(name, step, state) -> None:
    """A State is equal to that of one device, up to f32 rounding."""
    for number, leaf in enumerate(compared(state)):
        expected = _read()[key(name, step, number)]
        np.testing.assert_allclose(leaf, expected, rtol=2e-4, atol=2e-5)
    assert int(state.step) == step
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state))
