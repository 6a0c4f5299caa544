"""fpu/dp/noise.py: what is added, and the optax transformation. Scale and independence: guarantees_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from scipy import stats

from fpu.dp import noise

TREE = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.float32(7), "c": jnp.ones(4, jnp.float16)}


def test_std_0_adds_nothing_and_the_result_is_float32():
    assert noise.gaussian({}, jax.random.key(0), 1.0) == {}
    out = noise.gaussian(TREE, jax.random.key(0), 0.0)
    for leaf, want in zip(jax.tree.leaves(out), jax.tree.leaves(TREE), strict=True):
        assert leaf.dtype == jnp.float32
        np.testing.assert_array_equal(leaf, want)


def test_the_noise_is_normal_and_scales_with_std():
    zeros = {"a": jnp.zeros((50, 40)), "b": jnp.zeros(2000)}
    one = noise.gaussian(zeros, jax.random.key(1), 1.0)
    three = noise.gaussian(zeros, jax.random.key(1), 3.0)
    np.testing.assert_allclose(three["a"], 3 * one["a"], rtol=1e-6, atol=3.1 * noise.CELL)
    for leaf in one.values():
        assert stats.kstest(np.ravel(leaf), "norm").pvalue > 1e-4
    assert not np.array_equal(np.ravel(one["a"]), one["b"])


@pytest.mark.parametrize("draw", [noise.normal, noise.normal_on_host])
def test_draws_are_normal_and_hardly_any_two_are_equal(draw):
    """Of 200,000 of 2^23 values some 2,400 pairs were equal."""
    z = np.asarray(draw(jax.random.key(4), 200_000), np.float64)
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert stats.chisquare(np.histogram(stats.norm.cdf(z), 256, (0, 1))[0]).pvalue > 1e-4
    assert abs(stats.kurtosis(z)) < 0.05
    assert len(z) - len(np.unique(z)) < (900 if draw is noise.normal else 1)


def test_equal_keys_give_equal_bits():
    """What a resumed run relies on; beside other cells and on other devices only rounding may differ."""
    keys, run = jax.random.split(jax.random.key(6), 3), jax.jit(noise.normal, static_argnums=1)
    alone = np.stack([run(key, 501) for key in keys])
    each = [run(jax.random.clone(key), 501) for key in keys]
    np.testing.assert_array_equal(alone, np.stack(each))
    together = jax.jit(jax.vmap(lambda key: noise.normal(key, 501)))(keys)
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-6)
    assert len(np.unique(together)) > 1495


@pytest.mark.parametrize("sum_", [0.7123457, 41.0])
def test_no_low_bit_tells_what_was_noised(sum_):
    """Without rounding, half of these outcomes are impossible where nothing was summed (float32 attacks)."""
    std, count = 1.3, 20_000
    seen = noise.gaussian(jnp.full(count, sum_, jnp.float32), jax.random.key(9), std) / std
    cells = np.round(np.asarray(seen, np.float64) / noise.CELL)
    np.testing.assert_allclose(seen, cells * noise.CELL, rtol=1e-6)
    near = np.abs(cells) < 1 / noise.CELL
    empty = noise.gaussian(jnp.zeros(200_000), jax.random.key(10), std) / std
    possible = np.unique(np.round(np.asarray(empty, np.float64) / noise.CELL))
    assert np.isin(cells[near], possible).all()


def test_a_release_adds_its_noise_before_it_rounds():
    """Noise of 24 bits in the tail lies on a grid, from which a neighbour's grid is told: here no two are on one."""
    z = noise.normal_on_host(jax.random.key(8), 100_000)
    far = np.sort(z[np.abs(z) > 2.5])
    assert len(far) > 1000
    assert (far.astype(np.float32) != far).all()
    assert np.diff(far).min() > 0


def test_add_noise_divides_by_the_plans_constant_and_chains_with_any_optimizer():
    plan = tiny.plan(n=40, q=0.5)
    tx = optax.chain(noise.add_noise(plan), optax.sgd(1.0))
    state = tx.init(TREE)
    key = jax.random.key(2)
    updates, _ = tx.update(noise.ClippedSum(TREE, 0.5, jax.random.clone(key), plan), state, TREE)
    noised = noise.gaussian(TREE, jax.random.fold_in(key, 0), 0.5)
    jax.tree.map(np.testing.assert_allclose, updates, jax.tree.map(lambda x: -x / 20, noised))


def test_calls_are_counted_and_those_beyond_the_plan_show_nothing():
    plan = tiny.plan(steps=3)
    tx = noise.add_noise(plan)
    count, seen = tx.init(TREE), []
    for _ in range(4):
        mean, count = tx.update(noise.ClippedSum(TREE, 1.0, jax.random.key(7), plan), count)
        seen.append(np.ravel(mean["a"]))
    assert np.isfinite(seen[:3]).all()
    assert len(np.unique(seen[:3])) == 18  # one key in every step: still other noise in each
    assert np.isnan(seen[3]).all()


@pytest.mark.parametrize(
    "chain",
    [
        optax.adam(0.1),
        optax.sgd(0.1),
        optax.chain(optax.scale(2.0), noise.add_noise(tiny.PLAN)),
        optax.chain(optax.clip_by_global_norm(1.0), noise.add_noise(tiny.PLAN)),
        optax.chain(optax.adam(0.1), noise.add_noise(tiny.PLAN)),
        optax.MultiSteps(noise.add_noise(tiny.PLAN), 2),
        optax.apply_if_finite(noise.add_noise(tiny.PLAN), 2),
    ],
)
def test_no_optimizer_sees_a_sum_without_noise(chain):
    state = chain.init(TREE)
    with pytest.raises((TypeError, ValueError, AttributeError), match="ClippedSum"):
        chain.update(noise.ClippedSum(TREE, 1.0, jax.random.key(0), tiny.PLAN), state, TREE)


def test_a_gradient_that_was_not_clipped_is_refused():
    with pytest.raises(TypeError, match="first in optax"):
        noise.add_noise(tiny.PLAN).update(TREE, jnp.int32(0))
