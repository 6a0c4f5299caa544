"""Tiny models, pools, plans and cells that several tests share. Each model is compiled once."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from fpu import models, training
from fpu.dp.plan import DPSGD, Plan

SPEC = models.Spec((8, 8, 1), 3)
NAMES = models.MODELS
SMALLEST = {"width": 8, "depth": 1, "latent": 4, "generator_batch": 4, "multiplicity": 2}
SMALLEST["sampling_steps"] = 3


def smallest(name: str):
    """The config of a model at its smallest, whichever of the fields in SMALLEST it has."""
    config = models.load(name).SIZES["tiny"]
    fields = {field.name for field in dataclasses.fields(config)}
    more = {"patch": 4} if name == "vae" else {}  # one model that mixes tokens
    return dataclasses.replace(config, **{k: v for k, v in SMALLEST.items() if k in fields} | more)


@functools.cache
def model(name: str, code=0) -> models.Model:
    """The model of this name at its smallest, conditioned on so many numbers, or `duet`."""
    spec = SPEC._replace(code=code)
    return duet() if name == "duet" else models.load(name).make(smallest(name), spec)


def random_like(shapes, seed=1):
    """Parameters with no leaf at zero, where initialisation leaves biases and read-outs."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.3, s.shape), jnp.float32), shapes)


@functools.cache
def params(name: str, seed=1, code=0):
    """Random parameters of the model of this name: nothing is compiled."""
    return random_like(jax.eval_shape(model(name, code).init, jax.random.key(0)), seed)


def plan(n=6, q=0.5, steps=4, noise=1.0, slots=None) -> Plan:
    """A plan of DP-SGD, untruncated unless `slots` says otherwise."""
    return Plan(1e-2, (DPSGD(n, q, steps, noise, slots or n),))


def pool(n=6, shape=(8, 8, 1), n_classes=3) -> training.Pool:
    """n random images, each its own unit."""
    images = np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)
    units = jnp.arange(n, dtype=jnp.int32)
    labels, images = units % n_classes, jnp.asarray(images)
    return training.Pool(images, labels, units[:, None], jnp.ones_like(units))


def cells(masks, clip=0.5, std=0.5, seed=0) -> training.Cell:
    """One cell for each row of `masks`, all with the same keys."""
    masks = jnp.asarray(masks, bool)
    same = jnp.zeros(len(masks), int)
    secret, public = (jax.random.split(jax.random.key(s), 1)[same] for s in (seed + 17, seed))
    clips, stds = (jnp.full(len(masks), x, jnp.float32) for x in (clip, std))
    return training.Cell(masks, clips, stds, secret, public)


@functools.cache
def duet() -> models.Model:
    """A small model with a private and a public part that learn from each other."""

    def init(key):
        k1, k2 = jax.random.split(key)
        private, public = (jax.random.normal(k, SPEC.shape) for k in (k1, k2))
        return {"private": {"w": private}, "public": {"v": public}}

    def loss(private, public, example, step, key):
        seen = jnp.sum(private["w"] * (example.image + 0.1 * jax.random.normal(key, SPEC.shape)))
        return jnp.tanh(seen - jnp.sum(public["v"] * private["w"])) + step * seen, {}

    def public_loss(public, private, key, draws):
        return jnp.sum(public["v"] * private["w"] * jax.random.normal(key, SPEC.shape))

    return models.Model(init, loss, public_loss, None, None)


PLAN = plan()
RECIPE = training.Recipe(learning_rate=1e-2, critic_steps=2)


def program(name: str, mesh=None):
    """The programs that `fit` calls. Their cache tells apart arguments that are given and those left out."""
    return training.compiled(model(name), PLAN, RECIPE, False, mesh, False, training.step)


@functools.cache
def start(name: str) -> training.State:
    """The state of one cell before its first step."""
    return program(name).first(first(cells([[True] * 6])), None)


@functools.cache
def fitted(name: str):
    """{step: State} of four private steps of one cell on pool(), copied out of `fit`; 0 is the first."""
    states = {0: start(name)}

    def observe(step, state):
        states[step] = jax.tree.map(jnp.copy, state)

    fit(name, observe=observe)
    return states


@functools.cache
def draw(name: str):
    """(params, key, labels) -> images, compiled."""
    return jax.jit(model(name).sample)


def fit(name: str, masks=((True,) * 6,), **arguments):
    """`end` of the shared set-up, one step a call."""
    with mock.patch.object(training.loop, "STEPS_PER_CALL", 1):
        return end(model(name), PLAN, RECIPE, pool(), cells(masks), **arguments)


def end(*group, observe=lambda step, state: None, **arguments):
    """The last State of training.fit, with an axis of cells; observe(step, state) is called with each."""
    for step, state in training.fit(*group, **arguments):
        observe(step, state)
    count = len(group[-1].clip)
    return jax.tree.map(lambda x: x[:count] if state.step.ndim else x[None], state)


def one_by_one(*shared):
    """`end` of every cell trained alone, together."""
    *given, group = shared
    rows = [jax.tree.map(lambda x, i=i: x[i : i + 1], group) for i in range(len(group.clip))]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *(end(*given, cell) for cell in rows))


def stacked(*trees):
    """Trees as the cells of a group."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def first(tree):
    """The first of a group."""
    return jax.tree.map(lambda x: x[0], tree)


def leaves(tree) -> list[np.ndarray]:
    """Leaves as numpy arrays."""
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def same(a, b) -> bool:
    """Whether two pytrees are equal to the last bit."""
    both = list(zip(leaves(a), leaves(b), strict=True))
    return all(x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True) for x, y in both)


def norm(tree) -> float:
    """l2 norm in float64."""
    return float(np.sqrt(sum(np.square(x.astype(np.float64)).sum() for x in leaves(tree))))


def difference(a, b):
    """a - b in float64."""
    return jax.tree.map(lambda x, y: np.asarray(x, np.float64) - np.asarray(y, np.float64), a, b)
