"""fpu/training/dpsgd.py: cells keep to the noise of their plan. The step itself: guarantees_test.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu import models, training
from fpu.training import dpsgd, warmup

ONE = np.ones((3, 6), bool)


def cells(clips, stds):
    return tiny.cells(ONE)._replace(clip=jnp.float32(clips), noise_std=jnp.float32(stds))


def free(plan):
    silent = dataclasses.replace(plan.sgd(), noise_multiplier=0.0)
    return dataclasses.replace(plan, stages=(silent,))


@pytest.mark.parametrize(
    ("clips", "stds", "words"),
    [
        ([0.5, 0.5, 0.5], [0.35, 0.0, 0.35], "cell 1 has noise_std = 0, less than the 0.35"),
        ([0.5, 0.5, 0.5], [0.35, 0.35, 0.34], "cell 2 has noise_std = 0.34"),
        ([0.5, np.inf, 0.5], [0.35, 0.0, 0.35], "cell 1 has no clip norm"),
        ([0.5, 0.5, 0.5], [np.nan, 0.35, 0.35], "cell 0 has noise_std = nan"),
    ],
)
def test_a_cell_with_less_noise_than_its_plan_accounts_for_is_refused(clips, stds, words):
    plan = tiny.plan(noise=0.7)
    with pytest.raises(ValueError, match=words) as refusal:
        training.check_cells(plan, cells(clips, stds))
    assert "\n" not in str(refusal.value)
    training.check_cells(free(plan), cells(clips, stds))  # a plan that claims nothing


def test_the_plan_s_noise_or_more_is_let_pass_whatever_float32_makes_of_it():
    for noise in (0.7, 1.1, 1 / 3):
        for clip in (0.1, 1.7, 1e-3):
            plan = tiny.plan(noise=noise)
            training.check_cells(plan, cells([clip] * 3, [noise * clip] * 3))
            training.check_cells(plan, cells([clip] * 3, [2 * noise * clip] * 3))
    training.check_cells(tiny.plan(noise=0.7), tiny.first(cells([0.5] * 3, [0.35] * 3)))


@pytest.fixture
def one_step(monkeypatch):
    """noise_std -> (State before, State after) a step in which leaves of at most 30 numbers are trained."""
    monkeypatch.setattr(dpsgd, "FEW", 30)

    def loss(private, public, example, step, key):
        return example.image.sum() * sum(x.sum() for x in jax.tree.leaves(private)), {}

    private = {"small": jnp.ones(3), "more": jnp.ones((5, 5)), "large": jnp.ones((50, 50))}
    model = models.Model(None, loss, None, None, None)
    plan, few = tiny.plan(q=1.0), training.Recipe(trained="few")
    step = jax.jit(training.step, static_argnums=(0, 1, 2))

    def run(std):
        cell = tiny.first(tiny.cells([[True] + [False] * 5], clip=0.05, std=std))
        begun = training.initial(model, plan, few, cell, {"private": private, "public": {}})
        return begun, step(model, plan, few, tiny.pool(), cell, begun, 0)

    return run


def moment(state):
    """Adam's first moment: None for a leaf that is not trained."""
    return state.private_opt[-1][0].mu


def test_leaves_that_are_not_trained_stay_as_they_are_without_gradient_or_noise(one_step):
    begun, ended = one_step(0.5)
    assert {name for name, leaf in moment(begun).items() if leaf is not None} == {"small", "more"}
    before, after = (state.params["private"] for state in (begun, ended))
    assert {name for name in before if (before[name] != after[name]).any()} == {"small", "more"}


def test_the_clip_norm_is_that_of_the_trained_leaves(one_step):
    """A gradient that is longer is cut to C in those alone: not shorter, as by the norm of all, and not longer."""
    found = moment(one_step(0.0)[1])
    assert found["large"] is None
    mean = np.concatenate([np.ravel(found[name]) for name in ("small", "more")])
    total = 6 * mean / (1 - training.Recipe().b1)  # q n = 6
    np.testing.assert_allclose(total, np.full(28, 0.05 / 28**0.5), rtol=1e-4)


@pytest.mark.parametrize("step", [training.step, warmup.step])
def test_an_example_brings_its_own_code_and_public_losses_see_those_of_draws_alone(step):
    def loss(private, public, example, step, key):
        # The gradient is the code of the example, in the column of its label.
        return example.code[0] * private["w"][example.label], {}

    def public_loss(public, private, key, draws):
        return jnp.sum(public["v"] * draws.code.mean())

    model = models.Model(None, loss, public_loss, None, None)
    own = jnp.array([2.0, -3.0, 5.0, 7.0, -11.0, 13.0])[:, None]
    pool = tiny.pool()._replace(codes=own)
    cell = tiny.first(tiny.cells([[True] * 6], clip=np.inf, std=0.0))
    cell = cell._replace(draws=warmup.seen(model, pool._replace(codes=-own[:3])))
    start = {"private": {"w": jnp.zeros(3)}, "public": {"v": jnp.zeros(2)}}
    noise = training.step is step
    plan = tiny.plan(q=1.0, noise=0.0) if noise else warmup.Plan(0.5, (warmup.sgd(6, 3),))
    recipe = training.Recipe()
    state = training.initial(model, plan, recipe, cell, start)
    ended = step(model, plan, recipe, pool, cell, state, jnp.int32(0))
    mean = np.asarray(moment(ended)["w"]) / (1 - recipe.b1)
    if noise:  # all members, once
        np.testing.assert_allclose(mean, np.array([9.0, -14.0, 18.0]) / 6, rtol=1e-5)
    else:  # a sample of them, with repetition
        rows = jax.random.split(jax.random.fold_in(cell.secret, 0))[0]
        rows = np.asarray(jax.random.randint(rows, (warmup.BATCH,), 0, 6))
        wanted = [np.asarray(own)[rows, 0] @ (rows % 3 == k) / warmup.BATCH for k in range(3)]
        np.testing.assert_allclose(mean, wanted, rtol=1e-5)
    seen = float(ended.public_opt[0].mu["v"][0]) / (1 - recipe.b1)
    if not noise:  # the pool is of draws
        np.testing.assert_allclose(seen, np.mean(own), rtol=1e-5)
        return
    np.testing.assert_allclose(seen, -4 / 3, rtol=1e-5)
    nothing = step(model, plan, recipe, pool._replace(codes=-own), cell, state, jnp.int32(0))
    assert tiny.same(nothing.params["public"], ended.params["public"])  # whatever the members' are
