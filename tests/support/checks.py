"""Checks of the mechanism as a whole, for the real code (guarantees_test) and for faulty code (faults_test).

They look at what one step of `training.step` hands to the optimizer, for a probe whose per-example
gradient is known: table[label] * (image - 1/2) on one leaf and table[label] * onehot(label) on another.
With one label a unit the second leaf tells who was sampled.
"""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from scipy import stats

from fpu import models, training

P = 1e-4  # of a false alarm; the seeds are fixed, so it is a matter of once
MARGIN = 1 + 1e-5


def probe(table, shape) -> models.Model:
    """The model whose gradients are known."""
    table = jnp.asarray(table, jnp.float32)

    def init(key):
        del key
        return {"private": {"a": jnp.zeros(shape), "b": jnp.zeros(len(table))}, "public": {}}

    def loss(private, public, example, step, key):
        del public, step, key
        value = jnp.sum(private["a"] * (example.image - 0.5)) + private["b"][example.label]
        return table[example.label] * value, {}

    return models.Model(init, loss, None, None, None)


def trace(table, plan, pool, cells, steps, recipe=training.Recipe()):  # noqa: B008 (frozen)
    """The noised sums of steps 0..steps-1 of every cell, {'a': [cells, steps, ...], 'b': ...}."""
    model = probe(table, pool.images.shape[1:])

    def one(cell, now):
        state = training.initial(model, plan, recipe, cell)
        params = training.step(model, plan, recipe, pool, cell, state, now).params["private"]
        return jax.tree.map(lambda mean: mean * plan.sgd().denominator, params)

    # The optimizer after the noise is post-processing: without it, the step shows the noised mean itself.
    with mock.patch.object(optax, "adam", return_value=optax.identity()):
        every = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
        return jax.tree.map(np.asarray, jax.jit(every)(cells, jnp.arange(steps)))


def drawn(n, q, slots, steps):
    """Who was sampled: bool [steps, n]."""
    plan = tiny.plan(n, q, steps, slots=slots)
    pool = tiny.pool(n, shape=(1, 1, 1), n_classes=n)
    everyone = tiny.cells(np.ones((1, n)), clip=np.inf, std=0.0)
    sums = trace(np.ones(n), plan, pool, everyone, steps)["b"][0]
    np.testing.assert_allclose(sums, np.round(sums), atol=1e-4)  # each one counts as one
    return np.round(sums)


def independent(rows):
    """Columns of rows [T, n] are uncorrelated in pairs, and each with its own past."""
    rows, limit = np.asarray(rows, np.float64), stats.norm.isf(P / rows.shape[1] ** 2)
    rows = (rows - rows.mean(0)) / rows.std(0)
    pairs = rows.T @ rows / np.sqrt(len(rows))
    assert np.abs(pairs - np.diag(np.diag(pairs))).max() < limit
    assert np.abs((rows[1:] * rows[:-1]).sum(0)).max() / np.sqrt(len(rows)) < limit


def poisson_sampling():
    """Every unit is drawn on its own with the plan's q."""
    n, q, steps = 30, 0.3, 1500
    rows = drawn(n, q, n, steps)
    assert set(np.unique(rows)) <= {0, 1}
    assert stats.binomtest(int(rows.sum()), rows.size, q).pvalue > P
    spread = np.square(rows.sum(0) - steps * q).sum() / (steps * q * (1 - q))
    assert P < stats.chi2.sf(spread, n) < 1 - P
    sizes = np.square(rows.sum(1) - n * q).sum() / (n * q * (1 - q))  # not of a fixed size
    assert P < stats.chi2.sf(sizes, steps) < 1 - P
    independent(rows)


def uniform_truncation():
    """Of a sample that is too large, every subset of the right size is kept as often."""
    n, slots, steps = 12, 6, 1500
    rows = drawn(n, 0.5, slots, steps)
    assert rows.sum(1).max() == slots
    full = rows[rows.sum(1) == slots]
    assert len(full) / steps > 0.5
    p = slots / n
    spread = np.square(full.sum(0) - len(full) * p).sum() / (len(full) * p * (1 - p))
    assert stats.chi2.sf(spread * (n - 1) / n, n - 1) > P


def noise_scale(microbatch=0):
    """An empty batch is noise of the stated scale, drawn once a step, on its own for each coordinate."""
    n, std, steps = 64, 0.3, 200
    nobody = tiny.cells(np.zeros((1, n)), std=std)
    recipe = training.Recipe(microbatch=microbatch)
    sums = trace(np.ones(n), tiny.plan(n, 0.1, steps), tiny.pool(n), nobody, steps, recipe)
    a, b = (x[0].reshape(steps, -1).astype(np.float64) / std for x in (sums["a"], sums["b"]))
    assert a.shape == b.shape  # else equal noise in two leaves would go unseen
    for x in (a, b):
        assert P < stats.chi2.sf(np.square(x).sum(), x.size) < 1 - P
        assert abs(x.sum()) / np.sqrt(x.size) < stats.norm.isf(P)
        assert abs((x[1:] * x[:-1]).sum()) / np.sqrt(x.size) < stats.norm.isf(P)
    assert abs((a * b).sum()) / np.sqrt(a.size) < stats.norm.isf(P)


def public_denominator():
    """The mean divides by q * n of the plan, whoever the members are."""
    masks = np.arange(8)[None] < np.array([[8], [3], [1]])
    plan, pool = tiny.plan(8, 1.0), tiny.pool(8, n_classes=8)
    sums = trace(np.ones(8), plan, pool, tiny.cells(masks, clip=np.inf, std=0.0), 2)["b"]
    np.testing.assert_allclose(sums, np.repeat(masks[:, None].astype(float), 2, 1), rtol=1e-6)


def sensitivity():
    """Adding one unit, whatever it holds, moves every step's sum by at most the clip norm."""
    table = [1e-3, 2.0, 50.0, 1e30, np.nan, np.inf, 3e-42, 0.0, -3e3]
    n, clip = len(table), 0.7
    # Every unit on top of the first one, of the first two, ...: against few and against many.
    one, count = (x[:, None] for x in np.tril_indices(n))
    without = np.arange(n) < count
    with_it = without | (np.arange(n) == one)
    cells = tiny.cells(np.concatenate([with_it, without]), clip=clip, std=0.0)
    sums = trace(table, tiny.plan(n, 0.7), tiny.pool(n, n_classes=n), cells, 6)
    assert all(np.isfinite(x).all() for x in sums.values())
    flat = [x.reshape(*x.shape[:2], -1) for x in sums.values()]
    more, less = np.split(np.concatenate(flat, -1), 2)
    moved = np.linalg.norm(np.float64(more) - less, axis=-1)
    assert moved.max() <= clip * MARGIN
    assert moved.max() >= 0.99 * clip  # the check bites: somebody is clipped


def group_sensitivity():
    """A unit of many images moves the sum by at most the clip norm, and gives one image a step."""
    pool = tiny.pool(6, n_classes=6)
    rows = jnp.asarray([[0, 0, 0], [1, 2, 3], [4, 5, 4]])
    pool = pool._replace(units=rows, sizes=jnp.asarray([1, 3, 2]))
    masks = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    sums = trace(np.ones(6), tiny.plan(3, 1.0), pool, tiny.cells(masks, clip=0.5, std=0.0), 300)
    flat = np.concatenate([x.reshape(*x.shape[:2], -1) for x in sums.values()], -1)
    assert np.linalg.norm(np.float64(flat[:1]) - flat[1:], axis=-1).max() <= 0.5 * MARGIN
    given = (sums["b"][0] > 0)[:, [1, 2, 3]]
    assert (given.sum(1) == 1).all()
    assert stats.chisquare(given.sum(0)).pvalue > P


def secret_key_alone():
    """The public key has no say in sampling or noise; another secret key changes both."""
    keys = jax.random.split(jax.random.key(1), 2)
    cells = tiny.cells(np.ones((3, 6)), clip=np.inf, std=0.0)._replace(
        secret=keys[jnp.array([0, 0, 1])], public=keys[jnp.array([0, 1, 0])]
    )
    silent = cells._replace(noise_std=jnp.ones(3), mask=jnp.zeros((3, 6), bool))
    for group in (cells, silent):
        a, b, c = trace(np.ones(6), tiny.plan(6, 0.5), tiny.pool(6, n_classes=6), group, 8)["b"]
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
