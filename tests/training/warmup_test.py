"""fpu/training/warmup.py: what a model is taught before it sees any image."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import shared_run
import tiny

from fpu import models, training
from fpu.baselines import BASELINES, gaussian
from fpu.training import warmup

TEACHER = BASELINES["gaussian"](tiny.SPEC)


def release(noise=0.1):
    return gaussian.fit(tiny.SPEC, tiny.pool(30), 30.0, noise, jax.random.key(0))


def test_draws_take_classes_in_turn_and_are_images(monkeypatch):
    monkeypatch.setattr(warmup, "DRAWS", 2005)
    done = []
    pool = warmup.draws(TEACHER, release(), 3, jax.random.key(1), done.append)
    assert (done, pool.images.shape) == ([1000, 2000, 2005], (2005, 8, 8, 1))
    assert pool.images.dtype == jnp.uint8
    assert np.array_equal(np.asarray(pool.labels), np.arange(2005) % 3)
    assert np.array_equal(np.asarray(pool.units), np.arange(2005)[:, None])
    # Each draw is its own, across the chunks in which they are made too.
    assert len(np.unique(np.asarray(pool.images).reshape(2005, -1), axis=0)) > 2000
    assert tiny.same(pool, warmup.draws(TEACHER, release(), 3, jax.random.key(1)))


def test_a_step_is_that_of_adam_on_the_mean_loss_and_follows_with_the_public_part(monkeypatch):
    """Neither the mask nor the clip norm nor the noise of a cell means anything: draws are public."""
    monkeypatch.setattr(warmup, "BATCH", 4)
    model, recipe = tiny.duet(), training.Recipe(learning_rate=0.1, ema=0.5)
    plan = warmup.Plan(0.5, (warmup.sgd(1, 3),))
    cell = tiny.first(tiny.cells([[False]], clip=1e-3, std=9.0))
    state = training.initial(model, plan, recipe, cell)
    one = tiny.pool(1)  # the same draw throughout
    image = jnp.asarray(one.images[0], jnp.float32) / 255

    def mean_loss(private, public, now, keys):
        example = models.Example(image, jnp.int32(0))
        losses = [model.loss(private, public, example, now, key)[0] for key in keys]
        return jnp.mean(jnp.stack(losses))

    adam = optax.adam(0.1)
    moments = adam.init(state.params["private"])
    for now in range(3):
        keys = jax.random.split(jax.random.split(jax.random.fold_in(cell.secret, now))[1], 4)
        wanted, gradient = jax.value_and_grad(mean_loss)(*state.params.values(), now, keys)
        updates, moments = adam.update(gradient, moments)
        private = optax.apply_updates(state.params["private"], updates)
        before = state
        state = warmup.step(model, plan, recipe, one, cell, state, jnp.int32(now))
        np.testing.assert_allclose(state.params["private"]["w"], private["w"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.diagnostics.loss, wanted, rtol=1e-4)
        assert not tiny.same(state.params["public"], before.params["public"])
        assert not tiny.same(state.ema, before.ema)
    assert int(state.step) == 3


def test_a_plan_with_noise_is_not_followed_by_steps_without():
    """Whoever gave private images and their plan to these steps would have a statement that does not hold."""
    cell = tiny.first(tiny.cells([[True] * 6]))
    state = training.initial(tiny.duet(), tiny.PLAN, tiny.RECIPE, cell)
    with pytest.raises(ValueError, match=r"a plan with noise is for dpsgd\.step"):
        warmup.step(tiny.duet(), tiny.PLAN, tiny.RECIPE, tiny.pool(), cell, state, jnp.int32(0))


def test_a_model_learns_from_draws_and_dpsgd_begins_where_it_ended(monkeypatch):
    monkeypatch.setattr(warmup, "DRAWS", 60)
    pool = warmup.draws(TEACHER, release(), 3, jax.random.key(1))
    model, losses, params = shared_run.plain(None, tiny.SPEC), [], None
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 10)
    recipe = training.Recipe(learning_rate=1e-2)
    keys = jax.random.key(2)[None]
    for _, state in warmup.pretrain(model, recipe, tiny.stacked(pool), keys, 40):
        losses.append(float(state.diagnostics.loss))
        params = tiny.stacked(state.ema)
    assert losses[-1] < losses[0] - 1
    # A clip norm of 0 leaves noise alone, and that is 0 too: DP-SGD then stays where it began.
    still = tiny.cells(np.ones((1, 6), bool), clip=0.0, std=0.0)
    end = tiny.end(model, tiny.PLAN, tiny.RECIPE, tiny.pool(), still, start=params)
    for began, ended in zip(*map(tiny.leaves, (params, end.params)), strict=True):
        np.testing.assert_array_equal(began, ended)
    fresh = tiny.end(model, tiny.PLAN, tiny.RECIPE, tiny.pool(), still)
    assert not tiny.same(fresh.params, end.params)
