"""fpu/dp/clipping.py against numpy. guarantees_test.py bounds the sensitivity for every model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.suites import vmap_clipping
from fpu.dp import clipping
from fpu.dp.plan import longest_move

KEYS = jax.random.split(jax.random.key(0), 5)
PARAMS = {"a": jnp.ones((2, 2)), "b": jnp.zeros(3)}


def loss(params, example, key):
    """Gradients are the example itself."""
    del key
    return jnp.sum(params["a"] * example[:4].reshape(2, 2)) + jnp.sum(params["b"] * example[4:])


@jax.jit
def clipped(rows, valid, clip):
    return clipping.clipped_sum(loss, PARAMS, rows, valid, jax.random.clone(KEYS), clip)


def flat(total):
    return np.concatenate([np.ravel(total["a"]), total["b"]])


def rows(seed=0):
    return np.random.default_rng(seed).normal(size=(5, 7)).astype(np.float32)


def test_it_is_the_sum_of_shortened_gradients():
    x = rows()
    valid = np.array([1, 1, 0, 1, 1], bool)
    lengths = np.linalg.norm(x, axis=1)
    clip = np.float32(np.median(lengths))
    total, facts = clipped(x, valid, clip)
    want = (x * np.minimum(1, clip / lengths)[:, None])[valid].sum(0)
    np.testing.assert_allclose(flat(total), want, rtol=1e-5)
    assert float(facts.loss) == pytest.approx(x[:, :4].sum(1)[valid].mean(), rel=1e-5)
    assert float(facts.clipped) == pytest.approx((lengths > clip)[valid].mean())
    assert int(facts.dropped) == 0


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9])
def test_a_batch_has_any_size(size):
    """It is filled up to a multiple of 8 by copies of slot 0, which never count: not even where it is NaN."""
    x = np.random.default_rng(1).normal(size=(size, 7)).astype(np.float32)
    x[:1] = np.nan
    valid, keys = np.arange(size) > 0, jax.random.split(jax.random.key(0), size)
    want = (x / np.linalg.norm(x, axis=1, keepdims=True))[valid].sum(0) * 0.1
    for microbatch in (None, 3):
        total, facts = clipping.clipped_sum(loss, PARAMS, x, valid, keys, 0.1, microbatch)
        np.testing.assert_allclose(flat(total), want, rtol=1e-5, atol=1e-7)
        assert (int(facts.dropped), float(facts.clipped)) == (0, float(size > 1))


@pytest.mark.parametrize("microbatch", [0, -1])
def test_a_microbatch_without_examples_is_refused(microbatch):
    arguments = rows(), np.ones(5, bool), jax.random.clone(KEYS), 0.1, microbatch
    with pytest.raises(ValueError, match=f"microbatch = {microbatch} must be at least 1"):
        clipping.clipped_sum(loss, PARAMS, *arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_gradient_that_is_not_finite_counts_as_nothing(bad):
    x = rows()
    x[2, 5] = bad
    good = np.arange(5) != 2
    total, facts = clipped(x, np.ones(5, bool), np.float32(1))
    without, _ = clipped(x, good, np.float32(1))
    assert np.isfinite(flat(total)).all()
    np.testing.assert_array_equal(flat(total), flat(without))
    assert int(facts.dropped) == 1


def test_zero_and_denormal_gradients_are_kept_as_they_are():
    x = np.zeros((5, 7), np.float32)
    x[1] = 3e-42
    total, facts = clipped(x, np.ones(5, bool), np.float32(1))
    assert np.abs(flat(total)).max() <= 3e-42
    assert [float(v) for v in facts[1:]] == [0, 0]


def test_sums_are_float32_even_of_half_precision():
    """In bfloat16 the sum of a thousand times 0.001 stops at a quarter."""
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    x = jnp.full((1024, 7), 1e-3, jnp.bfloat16)

    @jax.jit
    def run(key):
        keys = jax.random.split(key, 1024)
        return clipping.clipped_sum(loss, params, x, jnp.ones(1024, bool), keys, jnp.inf)[0]

    total = run(jax.random.key(0))
    assert total["b"].dtype == jnp.float32
    np.testing.assert_allclose(flat(total), 1024 * float(x[0, 0]), rtol=1e-4)


@pytest.mark.parametrize(("engine", "shorter"), [(clipping, 0.06), (vmap_clipping, 1e-5)])
def test_the_norm_of_a_long_gradient_loses_nothing_to_rounding(engine, shorter):
    """One long entry and a million short ones, each below the rounding of the long one's square.

    A ghost norm of so many entries is rounded up by a twentieth; it is never too short."""
    row = np.full(10**6, 1.7e-4, np.float32)
    row[0] = 1.0
    keys, w = jax.random.split(jax.random.key(0), 1), jnp.zeros(len(row))
    one = row[None], jnp.ones(1, bool), keys, 0.1
    total, _ = engine.clipped_sum(lambda w, x, k: jnp.dot(w, x), w, *one)
    assert 0.1 * (1 - shorter) <= np.linalg.norm(np.float64(total)) <= 0.1 * (1 + 1e-5)


@pytest.mark.parametrize("slots", [1000, 20_000])
def test_rounding_of_large_batches_is_within_what_is_accounted(slots):
    """Gradients made to be rounded badly; one unit absent, in its own slot or with the last one there instead."""

    @jax.jit
    def total(rows, valid):
        def loss(params, row, key):
            del key
            return params @ row

        keys = jax.random.split(jax.random.key(0), slots)
        return clipping.clipped_sum(loss, jnp.zeros(rows.shape[1]), rows, valid, keys, 1.0)[0]

    rng, longest = np.random.default_rng(0), 0.0
    for trial in range(24):
        size, share = (1, 3, 64)[trial % 3], rng.random()
        below = 1 - rng.random() * 2**-10
        of = [(below, below), (1.0, 0.5), (1.0, -below), (below, share * 2**-9)][trial % 4]
        rows = np.where(rng.random(slots) < 0.5 + share / 2, *of)[:, None] / np.sqrt(size)
        rows = np.repeat(rows, size, axis=1).astype(np.float32)
        unit = rng.integers(slots)
        rows[unit] = rng.choice([-1, 1]) / np.sqrt(size)
        instead, everyone = rows.copy(), np.ones(slots, bool)
        instead[unit] = rows[-1]
        for others, absent in ((rows, unit), (instead, slots - 1)):
            without = total(others, everyone & (np.arange(slots) != absent))
            both = (np.asarray(x, np.float64) for x in (total(rows, everyone), without))
            longest = max(longest, float(np.linalg.norm(np.subtract(*both))))
    assert 1 + 1e-5 < longest < longest_move(slots)


@pytest.mark.parametrize("tokens", [0, 1, 3])
def test_a_long_sum_in_any_order_is_within_what_is_accounted(tokens, optimised):
    """A third pulls one way, the rest back: added one by one, 3 of 100 orders moved by up to 1.9 times what is."""
    slots, size = 8000, 7

    def loss(params, row, key):
        if not tokens:  # no product: gradients are made one by one
            return jnp.sum(params[0] * row)
        return jnp.sum((jnp.ones((tokens, 1)) @ params) * row[None]) / tokens

    @jax.jit
    def total(rows, valid):
        keys = jax.random.split(jax.random.key(0), slots)
        return clipping.clipped_sum(loss, jnp.zeros((1, size)), rows, valid, keys, 1.0)[0]

    rng, moves = np.random.default_rng(0), []
    everyone, but_the_last = np.ones(slots, bool), np.arange(slots) < slots - 1
    for _ in range(30):
        pulls = np.where(np.arange(slots) < 0.36 * slots, 1.0, -0.36 * 0.8)
        rng.shuffle(pulls)
        rows = np.repeat(pulls[:, None] * (1 - 1e-6) / np.sqrt(size), size, axis=1)
        unit = rng.integers(slots - 1)
        rows[unit] = -(1 - 1e-7) / np.sqrt(size)
        instead = rows.copy()
        instead[unit] = rows[-1]
        before = total(rows.astype(np.float32), everyone)
        after = total(instead.astype(np.float32), but_the_last)
        moves.append(np.linalg.norm(np.float64(before) - np.float64(after)))
    assert max(moves) <= longest_move(slots)
