"""fpu/training/loop.py: schedules, averages, whose turn it is, what `fit` refuses. Groups: guarantees_test.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu import training
from fpu.dp import noise
from fpu.training import dpsgd


def test_the_learning_rate_warms_up_in_a_line():
    recipe = training.Recipe(learning_rate=0.1, public_learning_rate=0.2, rate_warmup_steps=3)
    plan = tiny.plan(steps=5)
    private, public = dpsgd.private_adam(plan, recipe), dpsgd.adam(recipe, 0.2)
    gradient = {"w": jnp.ones(2)}
    states = [private.init(gradient), public.init(gradient)]
    for step, part in enumerate((0.25, 0.5, 0.75, 1.0, 1.0)):
        clipped = noise.ClippedSum(gradient, 0.0, jax.random.key(step), plan)
        mine, states[0] = private.update(clipped, states[0], gradient)
        theirs, states[1] = public.update(gradient, states[1], gradient)
        np.testing.assert_allclose(mine["w"], -0.1 * part, rtol=1e-4)  # Adam: the rate itself
        np.testing.assert_allclose(theirs["w"], -0.2 * part, rtol=1e-4)


def test_the_average_follows_closely_at_first():
    states = tiny.fitted("duet")
    for step in (1, 2, 3):
        decay = step / (9 + step)
        mean = functools.partial(jax.tree.map, lambda mean, new: decay * mean + (1 - decay) * new)  # noqa: B023
        want = mean(states[step - 1].ema, states[step].params)
        close = functools.partial(np.testing.assert_allclose, atol=1e-6)
        jax.tree.map(close, states[step].ema, want)


def test_the_public_part_moves_once_in_critic_steps():
    states = tiny.fitted("duet")
    assert tiny.RECIPE.critic_steps == 2
    for step, moves in ((1, False), (2, True), (3, False), (4, True)):
        before, after = states[step - 1].params, states[step].params
        assert tiny.same(before["public"], after["public"]) != moves
        assert not tiny.same(before["private"], after["private"])


def test_fit_tells_every_call_and_begins_where_it_is_told(monkeypatch):
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 3)
    told = []

    def fit(**arguments):
        shared = tiny.model("duet"), tiny.PLAN, tiny.RECIPE, tiny.pool(), tiny.cells([[True] * 6])
        return tiny.end(*shared, **arguments)

    def observe(step, state):
        told.append((step, int(state.step)))

    end = fit(observe=observe)
    assert told == [(3, 3), (4, 4)]
    assert tiny.same(tiny.first(end).params, tiny.fitted("duet")[4].params)
    told.clear()
    done = jax.tree.map(jnp.copy, tiny.fitted("duet")[4])
    fit(observe=observe, restore=lambda like: done)
    assert told == [(4, 4)]  # nothing is left to do


@pytest.mark.parametrize(
    ("members", "units", "word"),
    [(6, 6, "more members than the n = 5"), (5, 5, "are not of 1 cells")],
)
def test_fit_refuses_cells_that_the_plan_or_the_pool_does_not_know(members, units, word):
    cells = tiny.cells(np.arange(units)[None] < members)
    with pytest.raises(ValueError, match=word):
        tiny.end(tiny.model("duet"), tiny.plan(n=5), tiny.RECIPE, tiny.pool(6), cells)


def test_the_plan_decides_the_noise_multiplier_but_the_cell_carries_it():
    """One program for a grid of noises: what the plan says of noise does not enter the computation."""
    cell, state = tiny.first(tiny.cells([[True] * 6])), tiny.start("duet")
    other = dataclasses.replace(tiny.PLAN.sgd(), noise_multiplier=7.0)
    plans = tiny.PLAN, dataclasses.replace(tiny.PLAN, stages=(other,))
    programs = (training.compiled(tiny.model("duet"), plan, tiny.RECIPE, False) for plan in plans)
    arguments = tiny.pool(), cell, state, jnp.int32(1)
    assert len({program.jitted.lower(*arguments).as_text() for program in programs}) == 1
