"""The private classifier that stands beside every synthetic set: what the same (eps, delta) buys without a generator.

Which one is a public rule. Without a public prior: linear in the frequencies of the image. With one, where units are
few against the noise: of which class is the noised mean nearest in its space; where they are many
(release.ROOM): linear in its codes and the layer before them. It is never released, and its budget is its own.

Few units, class means (fpu/priors/release.py): MNIST, parts of TRAIN, four subsets: 94.4 % at n = 1,000 and eps = 1 (a
linear head on the same codes: 93.7), 92.0 at n = 100 and eps = 10 (82). Distances by the covariance within a class of
the prior were worse: 93.4 and 90.6.

Linear: logistic regression by noisy gradient descent on public features (private_features.py), which under privacy are
better than learned ones (arXiv:2011.11660). Every step sees every unit, so nothing is sampled.
"""

import functools
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu import dp
from fpu.models import Spec
from fpu.priors import Prior, release
from fpu.utility import private_features
from fpu.utility.private_features import Features

_CLIP, _MOMENTUM = 1.0, 0.9
_MICROBATCH = 2000  # images differentiated at once

# As data.units: rows of each unit [U, m], padded, and how many of them count [U].
Units = tuple[np.ndarray, np.ndarray]


class Way(NamedTuple):
    """A private classifier under one budget.

    train(images uint8 [m, H, W, C], labels ints [m], units=None, secret=None) -> params. units: the privacy units, at
        most the public n of them; None: each image is one. secret: None, or a typed key as secret as the data, of this
        call alone: the same key gives the same parameters, as a run that was killed and goes on needs it.
    logits(params, images) -> [n, K].

    **Guarantees.** (eps, delta) of the parameters for one unit. A unit gives one of its images to each noised sum,
    whatever the others are (dp.sampling.one_of), and what an image gives depends on it and on what is public alone. n,
    K and the shape are public. Without `secret` keys come from the operating system, and no two calls give the same
    parameters; with it, they hold against nobody who knows it.
    """

    name: str
    train: Callable[..., Any]
    logits: Callable[[Any, np.ndarray], np.ndarray]


def choose(
    prior: Prior | None,
    n: int,
    n_classes: int,
    eps: float,
    delta: float,
    shape: tuple[int, int, int],
) -> Way:
    """The classifier for at most n units, of images of this shape, under this budget of a finite eps.

    Raises ValueError where a prior helps and no noise gives that eps, or delta is not below 1 / n; `train` raises it
    where no prior helps.

    **Guarantees.** No argument but the public number n tells of the members, and noise, steps and denominators follow
    from n, not from how many units there are. Whatever is chosen keeps (eps, delta).
    """
    if prior is None:
        return linear(private_features.of_frequencies(shape), n, n_classes, eps, delta)
    if release.room(float(n), n_classes, noise(n, eps, delta)) >= release.ROOM:
        return linear(private_features.of_prior(prior), n, n_classes, eps, delta)
    return nearest_mean(prior, n, Spec(shape, n_classes), eps, delta)


def nearest_mean(prior: Prior, n: int, spec: Spec, eps: float, delta: float) -> Way:
    """Class means of codes by one Gaussian release whose terms have norm at most 1 (release.fit), each unit one term.

    Logits are - |z - mean_k|^2 / 2 s, float64, s a number's variance within a class.
    """

    def train(images, labels, units: Units | None = None, secret=None):
        table, sizes = units or _each_image(labels)
        members = types.SimpleNamespace(
            images=jnp.asarray(images),
            labels=jnp.asarray(labels, jnp.int32),
            units=jnp.asarray(table),
            sizes=jnp.asarray(sizes),
        )
        key = secret if secret is not None else dp.fresh_key()
        return release.fit(prior, spec, members, float(n), noise(n, eps, delta), key)

    def logits(params, images):
        codes, means = release.encoded(prior, images), np.asarray(params["means"], np.float64)
        scale = release.WIDER * np.trace(prior.within) / len(prior.within)
        return -np.square(codes[:, None] - means[None, :, 0]).sum(2) / (2 * scale)

    return Way(f"nearest noised class mean in the space of {prior.name}", train, logits)


def noise(n: int, eps: float, delta: float) -> float:
    """The noise multiplier of one release that keeps (eps, delta).

    Raises ValueError where there is none, or delta is not below 1 / n.
    """
    if delta >= 1 / n:
        raise ValueError(f"delta = {delta:g} must lie below 1/n = {1 / n:g}")
    plan = dp.calibrate(lambda noise: dp.Plan(delta, (dp.Release(noise),)), eps)
    return plan.stages[0].noise_multiplier


def linear(features: Features, n: int, n_classes: int, eps: float, delta: float) -> Way:
    """Logistic regression on public features by dp.poisson_plan, parameters {'kernel' [d, K], 'bias' [K]}.

    One image of a unit is one term of each sum, clipped to norm 1. Logits are float32.
    """

    def train(images, labels, units: Units | None = None, secret=None):
        units = units or _each_image(labels)
        data = jnp.asarray(features.encode(images)), jnp.asarray(labels, jnp.int32)
        plan = dp.poisson_plan(n, n, features.steps, delta, eps=eps, unit="unit")
        rate = learning_rate(plan.sgd(), features)
        first, step = _compiled(plan, data[0].shape[1], n_classes, rate, features.bias)
        state, keys = first(), dp.keys(plan)
        if secret is not None:
            keys = (jax.random.fold_in(secret, number) for number in range(features.steps))
        for key in keys:
            state = step(state, key, data, tuple(map(jnp.asarray, units)))
        return state[0]

    def logits(params, images):
        rows = features.encode(images)
        return rows @ np.asarray(params["kernel"]) + features.bias * np.asarray(params["bias"])

    return Way(f"linear in {features.name}", train, logits)


def learning_rate(sgd: dp.DPSGD, features: Features) -> float:
    """From n and the noise alone: weights end up with noise of standard deviation features.noise, or less."""
    noise = _CLIP * sgd.noise_multiplier / sgd.denominator  # of one mean gradient
    return min(features.fastest, features.noise * (1 - _MOMENTUM) / (noise * features.steps**0.5))


def _each_image(labels) -> Units:
    rows = np.arange(len(labels), dtype=np.int32)
    return rows[:, None], np.ones_like(rows)


@functools.lru_cache(maxsize=4)
def _compiled(plan, width, n_classes, rate, bias):
    """(the state before the first step, a jitted step of (state, key, data, units))."""

    def loss(params, example, key):
        del key
        x, label = example
        guess = x @ params["kernel"] + bias * params["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(guess, label)

    clipped = dp.clipped_grad(loss, plan, _CLIP, microbatch=_MICROBATCH)
    optimizer = optax.chain(dp.add_noise(plan), optax.sgd(rate, momentum=_MOMENTUM))

    def first():
        params = {"kernel": jnp.zeros((width, n_classes)), "bias": jnp.zeros(n_classes)}
        return params, optimizer.init(params)

    @jax.jit
    def step(state, key, data, units):
        params, opt = state
        everyone: Any = np.ones(len(units[1]), bool)  # fewer than the plan's n, perhaps
        batch = dp.sample(plan, key, data, mask=everyone, units=units)
        updates, opt = optimizer.update(clipped(params, batch), opt, params)
        return optax.apply_updates(params, updates), opt

    return first, step
