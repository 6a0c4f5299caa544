"""The rules that keep the guarantee, for the step as it runs and for every model as it is.

faults_test.py shows that the same checks see classic violations.
"""

import functools
import inspect

import checks
import chex
import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from fpu import models, training
from fpu.dp import clipping
from fpu.models import Example
from fpu.training import warmup

CHECKS = [
    checks.poisson_sampling,
    checks.uniform_truncation,
    checks.noise_scale,
    functools.partial(checks.noise_scale, microbatch=24),
    checks.public_denominator,
    checks.sensitivity,
    checks.group_sensitivity,
    checks.secret_key_alone,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: getattr(c, "__name__", "microbatch"))
def test_one_step_keeps(check):
    check()


# Rule 12: noise off, one example more or less, for every model.

SLOTS = 4
CONTENT = [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e-42, 0.0, 1.0, 0.3]


@functools.cache
def summed(name, microbatch=None, code=0):
    """clipped_sum of a model at step 0, compiled."""
    model = tiny.model(name, code)

    def run(params, images, labels, valid, clip, codes=()):
        def loss(private, example, key):
            return model.loss(private, params["public"], example, 0, key)[0]

        keys = jax.random.split(jax.random.key(3), SLOTS)
        examples = Example(images, labels, codes), valid, keys, clip, microbatch
        return clipping.clipped_sum(loss, params["private"], *examples)

    return jax.jit(run)


def batch():
    pool = tiny.pool(SLOTS)
    return np.array(pool.images) / np.float32(255), np.array(pool.labels)


@pytest.mark.parametrize("name", tiny.NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_one_example_moves_the_sum_by_at_most_the_clip_norm(name, data):
    scales = st.sampled_from([1.0, 8.0, 1e3])
    params = jax.tree.map(lambda x: x * data.draw(scales), tiny.start(name).params)
    clip = np.float32(data.draw(st.sampled_from([1e-4, 0.5, 3.0, 1e4])))
    images, labels = batch()
    for i in range(SLOTS):
        if data.draw(st.booleans()):
            share = data.draw(st.sampled_from([0.02, 0.5, 1.1]))
            spots = np.random.default_rng(i).random(tiny.SPEC.shape) < share
            images[i] = np.where(spots, data.draw(st.sampled_from(CONTENT)), images[i])
            labels[i] = data.draw(st.sampled_from([0, 2, -7, 2**30]))
    others = np.array(data.draw(st.lists(st.booleans(), min_size=SLOTS, max_size=SLOTS)))
    one = data.draw(st.integers(0, SLOTS - 1))
    with_it, without = others.copy(), others.copy()
    with_it[one], without[one] = True, False

    run = summed(name)
    more, _ = run(params, images, labels, with_it, clip)
    less, _ = run(params, images, labels, without, clip)
    assert all(np.isfinite(x).all() for x in tiny.leaves((more, less)))
    assert tiny.norm(tiny.difference(more, less)) <= clip * checks.MARGIN

    # What lies in a slot that is not valid never matters, nor who else might have been there.
    images[~without], labels[~without] = 0.0, 0
    padded, _ = run(params, images, labels, without, clip)
    assert tiny.same(less, padded)


@pytest.mark.parametrize("code", [np.nan, np.inf, -1e30, 1e3, 0.0])
@pytest.mark.parametrize("name", models.MODELS)
def test_whatever_the_code_of_an_example_it_moves_the_sum_by_at_most_the_clip_norm(name, code):
    codes = np.random.default_rng(0).normal(size=(SLOTS, 2)).astype(np.float32)
    codes[1, 0] = code

    def run(valid, clip, codes=codes):
        return summed(name, code=2)(tiny.params(name, code=2), *batch(), valid, clip, codes)[0]

    for clip in (np.float32(0.5), np.float32(1e4)):
        full = run(np.ones(SLOTS, bool), clip)
        for out in (0, 1):
            less = run(np.arange(SLOTS) != out, clip)
            assert all(np.isfinite(x).all() for x in tiny.leaves(less))
            assert tiny.norm(tiny.difference(full, less)) <= clip * checks.MARGIN
    other = codes.copy()
    other[1] = 9.0  # the code of who is not there does not matter
    assert tiny.same(less, run(np.arange(SLOTS) != 1, clip, other))


@pytest.mark.parametrize("name", tiny.NAMES)
def test_an_empty_batch_is_an_ordinary_one_with_the_sum_0(name):
    nobody = np.zeros(SLOTS, bool)
    total, facts = summed(name)(tiny.start(name).params, *batch(), nobody, np.float32(1))
    assert (tiny.norm(total), [float(x) for x in facts]) == (0, [0, 0, 0])


def test_the_bound_is_reached_where_examples_are_clipped():
    alone = np.arange(SLOTS) == 1
    for name in tiny.NAMES:
        total, facts = summed(name)(tiny.start(name).params, *batch(), alone, np.float32(1e-3))
        assert tiny.norm(total) == pytest.approx(1e-3, rel=1e-5)
        assert (float(facts.clipped), int(facts.dropped)) == (1, 0)


@pytest.mark.parametrize("clip", np.float32([0.5, np.inf]))
def test_the_microbatch_changes_rounding_only(clip):
    images, labels = batch()
    images[2] = np.nan
    valid = np.array([True, False, True, True])
    arguments = tiny.start("duet").params, images, labels, valid, clip
    whole, parts = (summed("duet", microbatch)(*arguments) for microbatch in (None, 3))
    assert tiny.norm(tiny.difference(whole[0], parts[0])) <= 1e-5 * tiny.norm(whole[0])
    assert int(whole[1].dropped) == int(parts[1].dropped) == 1
    assert float(whole[1].loss) == pytest.approx(float(parts[1].loss), rel=1e-5)


# Training: golden numbers, resume, slices, eps = inf, what is public.


@pytest.mark.parametrize("name", tiny.NAMES)
def test_two_steps_are_what_they_were(name):
    if name not in golden.NUMBERS:
        pytest.skip(f"golden.json has no {name}; add it: {golden.COMMAND}")
    assert golden.of_model(name) == pytest.approx(golden.NUMBERS[name], rel=1e-4)


def test_the_noise_of_a_key_is_what_it_was():
    assert golden.of_noise() == pytest.approx(golden.NUMBERS["noise"], rel=1e-5)


def continued(name, step):
    """The end of a training that was killed after `step`."""
    copy = jax.tree.map(jnp.copy, tiny.fitted(name)[step])
    return tiny.first(tiny.fit(name, restore=lambda like: copy))


@pytest.mark.parametrize("name", tiny.NAMES)
def test_a_resumed_run_ends_bitwise_where_it_would_have_ended(name):
    straight = tiny.fitted(name)
    assert not tiny.same(straight[3].params, straight[4].params)
    for step in (2, 4):
        assert tiny.same(continued(name, step), straight[4])


def test_a_state_holds_no_key():
    for leaf in jax.tree.leaves(tiny.fitted("gan")[2]):
        assert not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        assert leaf.dtype != jnp.uint32


def test_cells_side_by_side_end_where_they_end_one_by_one():
    masks = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    shared = tiny.duet(), tiny.PLAN, tiny.RECIPE, tiny.pool(), tiny.cells(masks)
    ends = [tiny.one_by_one(*shared), tiny.end(*shared)]
    chex.assert_trees_all_close(*ends, rtol=1e-4, atol=1e-5)
    for part in ("private", "public"):
        first, second = (jax.tree.map(lambda x, i=i: x[i], ends[0].params[part]) for i in (0, 1))
        assert not tiny.same(first, second)


def end(name, pool=None, **cell):
    """The end of one training by the program that is compiled already."""
    program = tiny.program(name)
    one = tiny.first(tiny.cells(np.ones((1, 6)), **cell))
    state = program.run(pool or tiny.pool(), one, program.first(one, None), 4)
    return state, program.jitted._cache_size()


def test_infinite_eps_is_the_same_program():
    private, programs = end("vae")
    free, still = end("vae", clip=np.inf, std=0.0)
    assert programs == still
    assert all(np.isfinite(x).all() for x in tiny.leaves(free))
    assert not tiny.same(private.params, free.params)


def test_the_generator_of_a_gan_learns_of_examples_through_the_noised_critic_alone():
    names = list(inspect.signature(tiny.model("gan").public_loss).parameters)
    assert names == ["public", "private", "key", "draws"]  # which are public
    pool = tiny.pool()
    other = pool._replace(images=255 - pool.images, labels=2 - pool.labels)
    # A clip norm of 0 takes the critic's update away, and with it all that the generator may know.
    for clip, known in ((0.0, False), (0.5, True)):
        mine, theirs = (end("gan", p, clip=clip, std=0.0)[0].params for p in (pool, other))
        assert tiny.same(mine["private"], theirs["private"]) != known
        assert tiny.same(mine["public"], theirs["public"]) != known
    assert not tiny.same(mine["public"], tiny.fitted("gan")[0].params["public"])


def test_the_generator_of_a_gan_with_codes_learns_of_its_draws_and_of_no_other_images():
    model, pool = tiny.model("gan", code=2), tiny.pool()
    pool = pool._replace(codes=jnp.ones((len(pool.labels), 2)))
    other = pool._replace(images=255 - pool.images, labels=2 - pool.labels, codes=-pool.codes)
    cell = tiny.first(tiny.cells([[True] * 6], clip=0.0, std=0.0))
    plan, recipe = tiny.plan(q=1.0, noise=0.0), training.Recipe()
    made = training.compiled(model, plan, recipe, False, None, True, training.step)

    def learned(members, draws):
        seen = cell._replace(draws=warmup.seen(model, draws))
        return made.run(members, seen, made.first(seen, None), jnp.int32(1)).params["public"]

    mine = learned(pool, pool)
    assert tiny.same(mine, learned(other, pool))
    assert not tiny.same(mine, learned(pool, other))
