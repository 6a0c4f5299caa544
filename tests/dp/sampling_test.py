"""fpu/dp/sampling.py: shapes, edges and rates. guarantees_test.py looks at the sampler inside a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fpu.dp import sampling


def draw(key, mask, q, slots):
    units, valid = sampling.poisson(key, jnp.asarray(mask), q, slots)
    assert units.shape == valid.shape == (slots,)
    assert len(set(units.tolist())) == slots  # also those that are not valid: each is some unit
    return set(units[valid].tolist())


def test_rate_one_draws_every_member_and_nobody_else():
    mask = np.array([1, 0, 1, 1, 0], bool)
    assert draw(jax.random.key(0), mask, 1.0, 5) == {0, 2, 3}
    assert len(draw(jax.random.key(0), mask, 1.0, 2)) == 2
    assert draw(jax.random.key(0), np.zeros(5, bool), 1.0, 5) == set()


def test_a_draw_does_not_depend_on_who_else_is_a_member():
    key = jax.random.key(2)
    mask = np.random.default_rng(0).random(50) < 0.5
    everyone = draw(jax.random.clone(key), np.ones(50, bool), 0.3, 50)
    members = set(np.flatnonzero(mask).tolist())
    assert draw(jax.random.clone(key), mask, 0.3, 50) == everyone & members


def test_a_truncated_draw_is_part_of_the_whole_one():
    key = jax.random.key(3)
    whole = draw(jax.random.clone(key), np.ones(50, bool), 0.5, 50)
    part = draw(jax.random.clone(key), np.ones(50, bool), 0.5, 8)
    assert len(part) == 8
    assert part < whole


@pytest.mark.parametrize("q", [1e-10, 2.0**-32, 0.1, 0.5, 1 - 2.0**-40])
def test_the_rate_is_never_above_q(q, monkeypatch):
    """The threshold on 32 random bits, from the bits on both sides of it."""
    below = int(np.floor(q * 2**32))
    bits = np.array([0, max(below - 1, 0), min(below, 2**32 - 1), 2**32 - 1], np.uint32)
    monkeypatch.setattr(jax.random, "bits", lambda *_: jnp.asarray(bits))
    assert draw(None, np.ones(4, bool), q, 4) == {i for i in range(4) if int(bits[i]) < below}


def test_one_of_is_uniform_over_the_images_of_each_unit():
    table, sizes = jnp.array([[7, 7, 7], [1, 2, 3], [4, 5, 4]]), jnp.array([1, 3, 2])
    keys = jax.random.split(jax.random.key(0), 600)
    count = jnp.array([2, 1, 0])
    rows = np.asarray(jax.vmap(lambda k: sampling.one_of(k, count, table, sizes))(keys))
    assert set(rows[:, 2].tolist()) == {7}
    for column, images in ((0, [4, 5]), (1, [1, 2, 3])):
        counts = [(rows[:, column] == image).sum() for image in images]
        assert sum(counts) == 600
        assert stats.chisquare(counts).pvalue > 1e-4


def test_what_a_unit_gives_does_not_depend_on_the_others():
    table, sizes = jnp.arange(40).reshape(4, 10), jnp.full(4, 10)
    key = jax.random.key(1)
    all_four = sampling.one_of(jax.random.clone(key), jnp.arange(4), table, sizes)
    two = sampling.one_of(jax.random.clone(key), jnp.array([3, 1]), table, sizes)
    assert two.tolist() == [all_four[3], all_four[1]]


def test_fewer_units_than_slots_are_drawn_as_always():
    mask = jnp.ones(5, bool)

    def draws(slots):
        keys = jax.random.split(jax.random.key(0), 2000)
        return jax.vmap(lambda key: sampling.poisson(key, mask, 0.5, slots))(keys)

    drawn, valid = draws(8)
    assert drawn.shape == valid.shape == (2000, 8)
    assert not valid[:, 5:].any()
    few, few_valid = draws(5)
    assert (drawn[:, :5] == few).all()
    assert (valid[:, :5] == few_valid).all()
