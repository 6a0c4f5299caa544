"""fpu/dp/noise.py: what is added, and the optax transformation. Scale and independence: guarantees_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from fpu.dp import noise

TREE = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.float32(7), "c": jnp.ones(4, jnp.float16)}


def test_std_0_adds_nothing_and_the_result_is_float32():
    out = noise.gaussian(TREE, jax.random.key(0), 0.0)
    for leaf, want in zip(jax.tree.leaves(out), jax.tree.leaves(TREE), strict=True):
        assert leaf.dtype == jnp.float32
        np.testing.assert_array_equal(leaf, want)


def test_the_noise_is_normal_and_scales_with_std():
    zeros = {"a": jnp.zeros((50, 40)), "b": jnp.zeros(2000)}
    one = noise.gaussian(zeros, jax.random.key(1), 1.0)
    three = noise.gaussian(zeros, jax.random.key(1), 3.0)
    np.testing.assert_allclose(three["a"], 3 * one["a"], rtol=1e-6)
    for leaf in one.values():
        assert stats.kstest(np.ravel(leaf), "norm").pvalue > 1e-4
    assert not np.array_equal(np.ravel(one["a"]), one["b"])


def test_add_noise_divides_by_the_constant_it_was_given_and_chains_with_any_optimizer():
    tx = optax.chain(noise.add_noise(20.0), optax.sgd(1.0))
    state = tx.init(TREE)
    key = jax.random.key(2)
    updates, _ = tx.update(TREE, state, TREE, noise_key=jax.random.clone(key), noise_std=0.5)
    want = jax.tree.map(lambda x: -x / 20, noise.gaussian(TREE, key, 0.5))
    jax.tree.map(np.testing.assert_allclose, updates, want)


def test_a_step_without_a_key_is_refused():
    tx = noise.add_noise(1.0)
    with pytest.raises(TypeError, match="noise_key"):
        tx.update(TREE, tx.init(TREE), TREE)
