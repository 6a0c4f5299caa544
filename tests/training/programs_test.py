"""fpu/training/programs.py: a step that the device loops over, as on accelerators, ends where the host's steps end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu import training
from fpu.training import programs

MODEL = tiny.duet()


class State(NamedTuple):
    """The least that a step changes."""

    step: jax.Array
    total: jax.Array


@pytest.fixture
def accelerator(monkeypatch):
    """What is compiled anew is compiled as for an accelerator."""
    training.compiled.cache_clear()
    monkeypatch.setattr(programs.jax, "default_backend", lambda: "gpu")
    yield
    training.compiled.cache_clear()


def fit(**arguments):
    masks = [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 1]]
    shared = MODEL, tiny.PLAN, tiny.RECIPE, tiny.pool(), tiny.cells(masks)
    return training.fit_all(*shared, **arguments)


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_a_loop_on_the_device_ends_where_steps_of_the_host_do(request, monkeypatch, side_by_side):
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 3)  # of four: one whole call, and a rest
    wanted, seen = fit(slice_size=side_by_side), []
    request.getfixturevalue("accelerator")
    looped = fit(slice_size=side_by_side, observe=lambda n, step, state: seen.append(step))
    assert seen == [3, 4] * (3 // side_by_side)
    for a, b in zip(*map(tiny.leaves, (looped, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_one_compiled_loop_serves_every_stretch_of_steps(accelerator):
    calls = []

    def step(pool, cells, state, now):
        calls.append(now)  # traced once
        return state._replace(step=state.step + 1, total=state.total + pool * cells * now)

    made = programs.compiled(lambda cells, start: start, step, vmapped=False, mesh=None)
    state = State(jnp.int32(0), jnp.float32(0))
    for stop in (1, 4, 6):
        state = made.run(jnp.float32(2), jnp.float32(3), state, jnp.int32(stop))
    assert (int(state.step), float(state.total)) == (6, 6 * sum(range(6)))
    assert len(calls) == 1
