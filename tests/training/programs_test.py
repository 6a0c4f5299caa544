"""fpu/training/programs.py: a step that the device loops over, as on accelerators, ends where the host's steps end."""

import numpy as np
import pytest
import tiny

from fpu import training
from fpu.training import programs

MODEL = tiny.duet()


@pytest.fixture
def accelerator(monkeypatch):
    """What is compiled anew is compiled as for an accelerator."""
    training.compiled.cache_clear()
    monkeypatch.setattr(programs.jax, "default_backend", lambda: "gpu")
    yield
    training.compiled.cache_clear()


def fit(count, **arguments):
    masks = [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 1]][:count]
    return tiny.end(MODEL, tiny.PLAN, tiny.RECIPE, tiny.pool(), tiny.cells(masks), **arguments)


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_a_loop_on_the_device_ends_where_steps_of_the_host_do(request, monkeypatch, side_by_side):
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 3)  # of four: one whole call, and a rest
    wanted, seen = fit(side_by_side), []
    request.getfixturevalue("accelerator")
    looped = fit(side_by_side, observe=lambda step, state: seen.append(step))
    assert seen == [3, 4]
    several = side_by_side > 1, None, False, training.step
    made = training.compiled(MODEL, tiny.PLAN, tiny.RECIPE, *several)
    assert made.jitted._cache_size() == 1  # one program serves every stretch of steps
    for a, b in zip(*map(tiny.leaves, (looped, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
