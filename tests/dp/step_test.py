"""sample, clipped_grad and add_noise together: a loop of one's own is private, or it is refused when it is traced."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.experimental import pallas
from jax.experimental.buffer_callback import buffer_callback
from jax.sharding import PartitionSpec as P

from fpu import dp
from fpu.dp.plan import DPSGD

PLAN = dp.poisson_plan(n=8, batch=4, steps=5, delta=1e-2, noise_multiplier=1.0)
ROWS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
PARAMS = {"w": jnp.ones(3)}


def loss(params, row, key):
    return jnp.square(params["w"] @ row - 1 + 0.1 * jax.random.normal(key))


def batch(plan=PLAN, seed=0, rows=ROWS):
    return dp.sample(plan, jax.random.key(seed), rows)


def test_a_sum_is_that_of_clipped_gradients_of_the_rows_drawn():
    drawn = batch()
    out = dp.clipped_grad(loss, PLAN, 0.5)(PARAMS, drawn)
    want = np.zeros(3)
    for row, valid, key in zip(drawn.examples, drawn.valid, drawn.keys, strict=True):
        gradient = np.asarray(jax.grad(loss)(PARAMS, row, key)["w"], np.float64)
        want += valid * gradient * min(1, 0.5 / np.linalg.norm(gradient))
    np.testing.assert_allclose(out.total["w"], want, rtol=1e-5)
    assert out.std == 0.5 * PLAN.sgd().noise_multiplier
    parts = dp.clipped_grad(loss, PLAN, 0.5, microbatch=3)(PARAMS, batch())
    np.testing.assert_allclose(parts.total["w"], want, rtol=1e-5)


def by_row(drawn):
    """{row: words of its key} of the rows drawn."""
    words = np.asarray(jax.random.key_data(drawn.keys))
    rows = [tuple(row) for row in np.asarray(drawn.examples).tolist()]
    return {r: tuple(w) for r, w, v in zip(rows, words.tolist(), drawn.valid, strict=True) if v}


def test_keys_are_by_row_whoever_else_is_drawn_and_differ_from_the_noise_key():
    everybody = dp.poisson_plan(n=8, batch=8, steps=5, delta=1e-2, noise_multiplier=1.0)
    full, part = by_row(batch(everybody)), by_row(batch())
    assert len(full) == 8 > len(part) > 0
    assert all(full[row] == key for row, key in part.items())
    noise_key = tuple(np.asarray(jax.random.key_data(batch().noise_key)).tolist())
    assert len({*full.values(), noise_key}) == 9


def test_keys_are_fresh_and_as_many_as_steps():
    runs = ([jax.random.key_data(k.key).tolist() for k in dp.keys(PLAN)] for _ in "ab")
    first, second = ([tuple(words) for words in run] for run in runs)
    assert (len(first), len({*first, *second})) == (5, 10)


def test_without_noise_there_is_no_clip_to_ask_for():
    free = dp.poisson_plan(n=8, batch=4, steps=5, delta=1e-2, noise_multiplier=0.0)
    out = dp.clipped_grad(loss, free, np.inf)(PARAMS, batch(free))
    assert out.std == 0
    assert tiny.norm(out.total) > 0.5


@pytest.mark.parametrize("clip", [0.0, -1.0, np.nan, np.inf, 1e-30])
def test_a_clip_norm_that_is_none_is_refused(clip):
    with pytest.raises(ValueError, match=r"clip_norm = .* such as clip_norm=1.0"):
        dp.clipped_grad(loss, PLAN, clip)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda params, row, key: params["w"] * row, "one float for ONE example"),
        (lambda params, row, key: (loss(params, row, key), row), "and nothing else"),
        (lambda params, row, key: {"loss": loss(params, row, key)}, "and nothing else"),
        (lambda params, row, key: 3, "one float"),
    ],
)
def test_a_loss_that_is_not_one_number_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words) as told:
        dp.clipped_grad(wrong, PLAN, 1.0)(PARAMS, batch())
    assert "\n" not in str(told.value)


def test_a_batch_that_the_plan_did_not_draw_is_refused():
    with pytest.raises(TypeError, match="sample"):
        dp.clipped_grad(loss, PLAN, 1.0)(PARAMS, ROWS)


# Other plans of the same capacity, which alone tells none of them apart.
SGD = PLAN.sgd()
OTHERS = {
    "rate": dataclasses.replace(SGD, sampling_rate=0.4),
    "everybody": DPSGD(8, 1.0, 5, 1.0, 8),
    "n": dataclasses.replace(SGD, n=9),
    "steps": dataclasses.replace(SGD, steps=500),
    "noise": dataclasses.replace(SGD, noise_multiplier=0.0),
}


def other(name):
    return dataclasses.replace(PLAN, stages=(OTHERS[name],))


@pytest.mark.parametrize("name", OTHERS)
def test_plans_do_not_mix(name):
    """Each part carries its plan: not the capacity is compared, which agrees here, but all of it."""
    mixed = other(name)
    rows = np.zeros((mixed.sgd().n, 3), np.float32)
    assert mixed.sgd().capacity == PLAN.sgd().capacity
    (key, *_), others_batch = dp.keys(mixed), batch(mixed, rows=rows)

    def refused(words, step, *arguments):
        """In one line, and before anything is computed."""
        with pytest.raises(ValueError, match=words) as refusal:
            jax.eval_shape(step, *arguments)
        assert "\n" not in str(refusal.value)

    refused("key is of another plan", lambda key: dp.sample(PLAN, key, ROWS).valid, key)
    grad = dp.clipped_grad(loss, PLAN, 1.0)
    refused("drawn by another plan", lambda batch: grad(PARAMS, batch).total, others_batch)
    tx = dp.add_noise(PLAN)

    def noised(batch):
        return tx.update(dp.clipped_grad(loss, mixed, 1.0)(PARAMS, batch), tx.init(PARAMS))[0]

    refused("clipped sum is of another plan", noised, others_batch)


def test_plans_that_are_equal_are_one_plan():
    again = dp.poisson_plan(n=8, batch=4, steps=5, delta=1e-2, noise_multiplier=1.0)
    (key, *_) = dp.keys(again)
    clipped = dp.clipped_grad(loss, PLAN, 1.0)(PARAMS, dp.sample(again, key, ROWS))
    dp.add_noise(again).update(clipped, jnp.int32(0))


def test_less_noise_than_the_plan_s_is_refused_and_more_is_not():
    for std in (0.0, 0.49, np.nan):
        with pytest.raises(ValueError, match=r"noise_std = .* less than the plan's"):
            dp.clipped_grad(loss, PLAN, 0.5, noise_std=std)
    assert dp.clipped_grad(loss, PLAN, 0.5, noise_std=2.0)(PARAMS, batch()).std == 2.0


def test_members_by_mask_and_groups_of_rows():
    everybody = dp.poisson_plan(n=3, batch=3, steps=5, delta=1e-2, noise_multiplier=1.0)
    mask = jnp.arange(8) % 3 == 1
    drawn = dp.sample(everybody, jax.random.key(0), ROWS, mask=mask)
    found = {tuple(row) for row in np.asarray(drawn.examples)[np.asarray(drawn.valid)].tolist()}
    assert found == {tuple(row) for row in ROWS[1::3].tolist()}
    groups = jnp.array([[0, 0], [1, 2], [3, 4]]), jnp.array([1, 2, 2])
    drawn = dp.sample(everybody, jax.random.key(0), np.arange(8), units=groups)
    assert [sum(int(i) in g for i in drawn.examples) for g in ((0,), (1, 2), (3, 4))] == [1, 1, 1]
    with pytest.raises(ValueError, match="the mask has 8 members"):
        dp.sample(everybody, jax.random.key(0), ROWS, mask=jnp.ones(8, bool))
    with pytest.raises(ValueError, match="2 groups were given, not 3"):
        dp.sample(everybody, jax.random.key(0), ROWS, units=(groups[0][:2], groups[1][:2]))
    with pytest.raises(ValueError, match="plan is for n = 3 rows"):
        dp.sample(everybody, jax.random.key(0), ROWS[:7], mask=mask)


@pytest.mark.parametrize("rows", [ROWS[:7], np.zeros((9, 3)), (ROWS, np.zeros(7)), np.float32(1)])
def test_data_of_another_length_are_refused(rows):
    with pytest.raises(ValueError, match="n = 8 rows"):
        batch(rows=rows)


@pytest.mark.parametrize("key", [3, None, np.zeros(2, np.uint32)])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(TypeError, match="typed key"):
        dp.sample(PLAN, key, ROWS)


def test_a_key_whose_draws_depend_on_the_batch_is_refused():
    with pytest.raises(TypeError, match="threefry2x32"):
        dp.sample(PLAN, jax.random.key(0, impl="rbg"), ROWS)


def refused_on_a_mesh(loss, words):
    def step(rows):
        batch = dp.sample(PLAN, jax.random.key(0), rows, axis="devices")
        return dp.clipped_grad(loss, PLAN, 1.0)(jnp.ones(rows.shape[1]), batch).total

    mesh = jax.make_mesh((1,), ("devices",))
    with pytest.raises(ValueError, match=words):
        jax.shard_map(step, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)(ROWS)


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: jax.lax.psum(x, "devices"),
        lambda x: jax.new_ref(x)[...],
    ],
    ids=["collective", "ref"],
)
def test_a_loss_with_an_effect_is_refused(effect):
    def loss(params, x, key):
        return jnp.sum(effect(params * x))

    refused_on_a_mesh(loss, "loss must have no effect")


def _batch_mean(x):
    mean = jax.custom_batching.custom_vmap(lambda x: x)
    mean.def_vmap(lambda size, batched, x: (jnp.broadcast_to(x.mean(0), x.shape), True))
    return mean(x)


def _words(x):
    return jnp.zeros(4, jnp.uint32) + jnp.uint32(x[0])


def _rbg(x):
    return jax.random.wrap_key_data(_words(x), impl="rbg")


def _like(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _on_the_host(x):
    return buffer_callback(print, _like(x), vmap_method="broadcast_all")(x)


def _copy(x, y):
    y[...] = x[...]


RBG = jax.random.key(0, impl="rbg")


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda x: jax.lax.ppermute(x, "devices", [(0, 0)]), "ppermute"),
        (_batch_mean, "custom_vmap_call"),
        (lambda x: jax.nn.relu(_batch_mean(x)), "custom_vmap_call"),
        (lambda x: jax.pure_callback(lambda x: x, x, x), "pure_callback"),
        (lambda x: x + jax.random.normal(jax.random.key(0, impl="rbg")), "random_seed"),
        (lambda x: x + jax.random.normal(_rbg(x)), "random_wrap"),
        (lambda x: x + jax.lax.rng_bit_generator(_words(x), (1,))[1], "rng_bit_generator"),
        (lambda x: x + jax.random.normal(jax.random.fold_in(RBG, 1)), "random_fold_in"),
        (lambda x: _on_the_host(x), "buffer_callback"),
        (lambda x: jax.ffi.ffi_call("x", _like(x), vmap_method="broadcast_all")(x), "ffi_call"),
        (lambda x: pallas.pallas_call(_copy, _like(x), interpret=True)(x), "pallas_call"),
    ],
)
def test_a_loss_that_may_see_other_examples_is_refused(other, name):
    """They leave no effect in the jaxpr; by ppermute one member moved the sum by three clip norms."""

    def loss(params, x, key):
        return jnp.sum(params * jax.lax.stop_gradient(jax.jit(other)(x)))

    refused_on_a_mesh(loss, f"ONE example: {name} in it may see others")


def _of_its_own(kind):
    """w @ x with a derivative of somebody's own, which looks at the batch."""
    if kind == "jvp":
        own = jax.custom_jvp(jnp.dot)
        own.defjvp(lambda at, move: (jnp.dot(*at), jnp.dot(move[0], _batch_mean(at[1]))))
    else:
        own = jax.custom_vjp(jnp.dot)
        forward, backward = (lambda x: x, _batch_mean)[:: 1 if kind == "backward" else -1]
        own.defvjp(
            lambda w, x: (jnp.dot(w, x), forward(x)), lambda x, g: (g * backward(x), 0.0 * x)
        )
    return own


@pytest.mark.parametrize("kind", ["jvp", "forward", "backward"])
def test_a_derivative_that_may_see_other_examples_is_refused(kind):
    """It is in no jaxpr of the loss; by one that looked at the batch a member moved the sum by 15 clip norms."""
    own = _of_its_own(kind)
    with pytest.raises(ValueError, match="custom_vmap_call in it may see others"):
        dp.clipped_grad(lambda w, x, key: own(w, x), PLAN, 1.0)(
            jnp.ones(ROWS.shape[1]), dp.sample(PLAN, jax.random.key(0), ROWS)
        )


def test_parameters_that_have_no_gradient_are_refused():
    with pytest.raises(TypeError, match=r"params\['count'\] is not floating-point"):
        dp.clipped_grad(loss, PLAN, 1.0)({**PARAMS, "count": jnp.int32(0)}, batch())


def test_parameters_in_bfloat16_train():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    tx = optax.chain(dp.add_noise(PLAN), optax.adam(0.1))
    clipped = dp.clipped_grad(loss, PLAN, 1.0)(params, batch())
    assert clipped.total["w"].dtype == jnp.float32
    updates, _ = tx.update(clipped, tx.init(params), params)
    assert optax.apply_updates(params, updates)["w"].dtype == jnp.bfloat16
