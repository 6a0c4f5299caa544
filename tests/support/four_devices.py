"""The checks of the mechanism on a mesh of four devices, and faults of sharding that they must see.

Not collected by itself: distributed_test.py runs it in a process that has four devices.
"""

import dataclasses
import functools
from unittest import mock

import checks
import chex
import faults_test
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from fpu import InputError, distributed, training
from fpu.dp import clipping, noise, sampling, sharding
from fpu.models import Draws, Example
from fpu.pipeline import draw
from fpu.training import checkpoint, warmup
from fpu.utility import classifier

MESH = distributed.mesh()
TRACE, STEP, JIT = checks.trace, training.step, jax.jit


def on_mesh(function, *out, check_vma=False, mesh=MESH):
    specs = {"in_specs": P(), "out_specs": P(*out)}
    return JIT(jax.shard_map(function, mesh=mesh, **specs, check_vma=check_vma))


def on_every_device(function, check_vma=False):
    """Compiled; its result is that of the first device, after a look at whether all have the same."""

    def stacked(*arguments):
        return jax.tree.map(lambda x: x[None], function(*arguments))

    def call(*arguments):
        result = on_mesh(stacked, "examples", check_vma=check_vma)(*arguments)
        result = jax.tree.map(np.asarray, result)
        assert all(np.array_equal(x, np.stack([x[0]] * 4)) for x in jax.tree.leaves(result))
        return tiny.first(result)

    return call


def sharded(check, check_vma=False):
    """A check of checks.py, of a step whose examples are split over four devices."""

    def trace(*arguments, **named):
        step = mock.patch.object(training, "step", functools.partial(STEP, axis="examples"))
        jit = mock.patch.object(jax, "jit", functools.partial(on_every_device, check_vma=check_vma))
        with step, jit:
            return TRACE(*arguments, **named)

    with mock.patch.object(checks, "trace", trace):
        check()


close = functools.partial(chex.assert_trees_all_close, rtol=1e-4, atol=1e-5)
NAMES = "uniform_truncation", "noise_scale", "public_denominator", "sensitivity"
CHECKS = [getattr(checks, name) for name in (*NAMES, "group_sensitivity")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sharded_step_keeps(check):
    sharded(check)


def here():
    return jax.lax.axis_index("examples")


def not_added_up(summed, diagnostics, valid, axis):
    return summed, diagnostics


def averaged(summed, diagnostics, valid, axis):
    return jax.lax.pmean(summed, axis), diagnostics


def noise_before_the_sum(tree, key, std):
    """Of every device's share, each with a draw of its own, as if the sum over devices came after it."""
    shares = jax.tree.map(lambda x: x / 4, tree)
    return jax.lax.psum(noise_of_its_own_on_each_device(shares, key, std), "examples")


def noise_of_its_own_on_each_device(tree, key, std):
    return faults_test.REAL_NOISE(tree, jax.random.fold_in(key, here()), std)


def sample_of_its_own_on_each_device(key, mask, q, slots):
    return faults_test.REAL_POISSON(jax.random.fold_in(key, here()), mask, q, slots)


def everything_on_each_device(units, valid, axis):
    return units, valid


FAULTS = [
    (sharding, "add_up", not_added_up, checks.public_denominator),
    (sharding, "add_up", averaged, checks.public_denominator),
    (noise, "gaussian", noise_before_the_sum, checks.noise_scale),
    (noise, "gaussian", noise_of_its_own_on_each_device, checks.noise_scale),
    (sampling, "poisson", sample_of_its_own_on_each_device, checks.sensitivity),
    (sharding, "share", everything_on_each_device, checks.sensitivity),
]


@pytest.mark.parametrize(
    ("module", "name", "fault", "check"), FAULTS, ids=[f[2].__name__ for f in FAULTS]
)
def test_is_caught(module, name, fault, check):
    faults_test.assert_caught(module, name, fault, lambda: sharded(check))


def test_gradients_that_jax_sums_over_devices_before_the_clip_are_caught():
    """Rule 11: with varying-type checks on, and parameters that are not cast to varying first."""
    engine = mock.patch.object(clipping, "clipped_sum", faults_test.summing(faults_test.correct))
    with engine, jax.debug_key_reuse(False):
        sharded(checks.sensitivity)
        with pytest.raises(AssertionError):
            sharded(checks.sensitivity, check_vma=True)


@pytest.mark.parametrize("slots", [1, 4, 6, 9])
def test_shares_are_a_partition_of_the_batch(slots):
    def share(units, valid):
        share = sharding.share(units, valid, "examples")
        return jax.lax.all_gather(share, "examples", tiled=True)

    wanted = np.arange(slots) % 3 > 0
    units, valid = on_every_device(share)(jnp.arange(slots) + 5, jnp.asarray(wanted))
    assert units[valid].tolist() == (np.arange(slots) + 5)[wanted].tolist()
    assert len(units) == 4 * -(-slots // 4)


@pytest.mark.parametrize("name", tiny.NAMES)
def test_every_model_can_be_split_over_the_devices(name):
    """Traced, not compiled. The values: a model's of few numbers and the sum of a DDPM's gradients below."""
    program = tiny.program(name, MESH)
    cell = tiny.first(tiny.cells([[True] * 6]))
    state = jax.eval_shape(program.first, cell, None)
    after = jax.eval_shape(program.jitted, tiny.pool(), cell, state, jnp.int32(0))
    shapes = [[(x.shape, x.dtype) for x in jax.tree.leaves(each)] for each in (state, after)]
    assert shapes[0] == shapes[1]


def test_a_training_is_that_of_one_device_and_every_device_ends_with_the_same_state():
    """Each State on the mesh is equal to that of one device, up to f32 rounding."""

    def observe(step, state):
        assert int(state.step) == step
        assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state))
        both = state, tiny.fitted("duet")[step]
        ours, theirs = ((s.params, s.ema, s.diagnostics) for s in both)
        chex.assert_trees_all_close(ours, theirs, rtol=2e-4, atol=2e-5)

    ends = tiny.first(tiny.fit("duet", mesh=MESH, observe=observe))
    for leaf in jax.tree.leaves(ends):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert len(others) == 3
        assert all(np.array_equal(first, other) for other in others)


def test_the_sum_is_that_of_one_device_and_one_example_moves_it_by_at_most_the_clip_norm():
    """Of a network, with images that are not finite. (checks.sensitivity looks at the whole step.)"""
    model, params, slots = tiny.model("ddpm"), tiny.params("ddpm"), 6

    def total(params, images, labels, valid, clip):
        def loss(private, example, key):
            return model.loss(private, params["public"], example, 0, key)[0]

        rows, valid = sharding.share(jnp.arange(slots), valid, "examples")
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), rows)
        examples = Example(images[rows], labels[rows])
        sums = clipping.clipped_sum(loss, params["private"], examples, valid, keys, clip)
        return sharding.add_up(*sums, valid, "examples")

    alone = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), MESH.axis_names)
    run, run_alone = on_mesh(total), on_mesh(total, mesh=alone)
    pool = tiny.pool(slots)
    images, labels = np.array(pool.images) / np.float32(255), np.array(pool.labels)
    images[1, :2], images[2], images[4] = np.nan, 1e30, -np.inf
    for clip in np.float32([1e-3, 1e3]):
        whole, facts = run(params, images, labels, np.ones(slots, bool), clip)
        assert all(np.isfinite(x).all() for x in tiny.leaves((whole, facts)))
        close((whole, facts), run_alone(params, images, labels, np.ones(slots, bool), clip))
        moved = []
        for one in range(slots):
            less, _ = run(params, images, labels, np.arange(slots) != one, clip)
            moved.append(tiny.norm(tiny.difference(whole, less)))
        assert max(moved) <= clip * checks.MARGIN
        assert moved[1] == 0
        assert int(facts.dropped) >= 1
    assert max(moved) > 0


MASKS = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 1]])
DUET = tiny.duet()


def fit(masks=MASKS, recipe=tiny.RECIPE, end=tiny.end, **arguments):
    return end(DUET, tiny.PLAN, recipe, tiny.pool(), tiny.cells(masks), **arguments)


@pytest.fixture(scope="module")
def one_by_one():
    return fit(end=tiny.one_by_one)


def test_cells_with_pools_of_their_own_end_where_each_alone_ends():
    pool = tiny.pool()
    pools = [pool._replace(images=jnp.roll(pool.images, shift, 0)) for shift in range(len(MASKS))]
    given = DUET, tiny.PLAN, tiny.RECIPE
    alone = [tiny.end(*given, own, tiny.cells(MASKS[[i]])) for i, own in enumerate(pools)]
    own = DUET, tiny.PLAN, tiny.RECIPE, tiny.stacked(*pools), tiny.cells(MASKS)
    for cells in (4, 2):  # each device has one of the three cells, or two
        ends = tiny.end(*own, mesh=distributed.mesh(cells))
        close(ends, jax.tree.map(lambda *x: jnp.concatenate(x), *alone))


def test_a_training_that_knows_codes_ends_where_that_of_one_device_does():
    """The private loss looks at the code of its member, the public one at those of draws."""

    def loss(private, public, example, step, key):
        seen, aux = DUET.loss(private, public, example, step, key)
        return seen + jnp.tanh(jnp.sum(private["w"]) * example.code[0]), aux

    def public_loss(public, private, key, draws):
        wanted = jnp.mean(draws.code[:, :1, None, None] * draws.image / 255, 0)
        return DUET.public_loss(public, private, key, draws) + jnp.sum(public["v"] * wanted)

    def ends(codes, of_draws, mesh=None):
        draws = Draws(plain.images, plain.labels, of_draws)
        cells = tiny.cells(MASKS)._replace(draws=tiny.stacked(*[draws] * len(MASKS)))
        return tiny.end(*given, plain._replace(codes=codes), cells, mesh=mesh)

    given = DUET._replace(loss=loss, public_loss=public_loss), tiny.PLAN, tiny.RECIPE
    plain, codes = tiny.pool(), jax.random.normal(jax.random.key(8), (6, 2))
    alone = ends(codes, codes)
    for mesh in (MESH, distributed.mesh(4)):
        close(ends(codes, codes, mesh), alone)
    assert not tiny.same(ends(codes[::-1], codes), alone)
    assert not tiny.same(ends(codes, 2 * codes), alone)


def test_a_warm_up_over_the_mesh_ends_where_that_of_one_device_does(monkeypatch):
    monkeypatch.setattr(warmup, "BATCH", 6)  # which four devices do not divide
    arguments = DUET, tiny.RECIPE, tiny.stacked(tiny.pool()), jax.random.key(3)[None], 3
    (*_, (_, one)), (*_, (_, four)) = (
        warmup.pretrain(*arguments, mesh=mesh) for mesh in (None, MESH)
    )
    close(four, one)


def test_a_checkpoint_goes_on_elsewhere_and_bitwise_on_the_same(tmp_path, monkeypatch, one_by_one):
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 2)

    def observe(folder):
        def save(step, state):
            if step == 2:
                checkpoint.save(tmp_path / folder, step, state, distributed.layout())

        return save

    def restore(folder):
        def load(like):
            step, state, layout = checkpoint.restore(tmp_path / folder, like)
            assert (step, layout["devices"]) == (2, 4)
            return state

        return load

    meshes = {"mesh": MESH, "one": None}
    ends = {f: fit(MASKS[:1], mesh=mesh, observe=observe(f)) for f, mesh in meshes.items()}
    for folder, mesh in (("mesh", MESH), ("one", None), ("mesh", None), ("one", MESH)):
        again = fit(MASKS[:1], mesh=mesh, restore=restore(folder))
        close(again, tiny.first(jax.tree.map(lambda x: x[None, :1], one_by_one)))
        if mesh == (MESH if folder == "mesh" else None):
            assert tiny.same(again, ends[folder])


def test_rows_over_the_devices_are_drawn_and_scored_as_by_one():
    """Seven rows: one device has one too few. Draws are counted by row, so filling up changes none of them."""
    model, params = tiny.model("vae"), tiny.params("vae")
    labels = np.arange(7) % 3
    drawn = tiny.draw("vae")
    wanted = drawn(params, jax.random.key(5), labels)
    result = distributed.map_rows(drawn, (params, jax.random.key(5)), labels)
    assert result.shape == wanted.shape
    np.testing.assert_allclose(result, wanted, atol=1e-4)

    words = jax.random.key_data(jax.random.split(jax.random.key(6), 7))
    score = draw._scorer(model)
    wanted = score(params, tiny.pool(7).images, labels, words)
    rows = tiny.pool(7).images, labels, words
    result = distributed.map_rows(score, (params,), *rows, devices=jax.local_devices())
    assert result.keys() == wanted.keys()
    for kind, values in wanted.items():
        np.testing.assert_allclose(result[kind], values, rtol=1e-3, atol=1e-4)


def test_images_are_classified_by_all_devices_as_by_one():
    images = np.asarray(tiny.pool(9).images)
    params = classifier.initial((8, 8, 1), 3, seed=0)
    with mock.patch.object(classifier, "_apply", wraps=classifier._apply) as apply:
        result = classifier.features(params, images)
    assert {len(call.args[1].devices()) for call in apply.call_args_list} == {4}
    np.testing.assert_allclose(result, classifier._apply(params, images)[1], rtol=1e-4, atol=1e-4)


def test_a_mesh_must_divide_the_devices():
    with pytest.raises(InputError, match="cells=3: does not divide the 4 devices"):
        distributed.mesh(3)


@pytest.mark.parametrize(("count", "microbatch", "backend"), [(3, 0, "cpu"), (2, 1, "gpu")])
def test_cells_over_the_mesh_end_where_they_end_one_by_one(
    count, microbatch, backend, one_by_one, monkeypatch
):
    """Three cells on two devices, or two; steps of the host, or a loop on the devices (last: it forgets programs)."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    if backend != "cpu":  # programs do not know for which backend they were made
        training.compiled.cache_clear()
    seen = []

    def observe(step, state):
        seen.append((step, len(state.step)))

    recipe = dataclasses.replace(tiny.RECIPE, microbatch=microbatch)
    ends = fit(MASKS[:count], recipe, mesh=distributed.mesh(2), observe=observe)
    assert seen == [(4, 2 * -(-count // 2))]
    close(ends, jax.tree.map(lambda x: x[:count], one_by_one))
