"""The private classifier that stands beside every synthetic set: what the same (eps, delta) buys without a generator.

Which one is a public rule. Without a public prior: linear in the frequencies of the image (private_linear.py). With
one, where images are few against the noise: the nearest noised class mean in its space (private_means.py); where they
are many (release.components): linear in its codes and the layer before them. It is never released, and its budget is
its own.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fpu.priors import Prior, release
from fpu.utility import private_features, private_linear, private_means


class Way(NamedTuple):
    """A private classifier under one budget."""

    name: str
    train: Callable[..., Any]  # (images, labels, secret=) -> params
    logits: Callable[[Any, np.ndarray], np.ndarray]  # (params, images) -> [n, K]


def choose(
    prior: Prior | None, n: int, n_classes: int, eps: float, delta: float, shape: tuple[int, ...]
) -> Way:
    """The classifier for at most n images of this shape under this budget, which protects one image.

    Raises ValueError where a prior helps and no noise gives that eps, or delta is not below 1 / n.

    **Guarantees.** No argument but the public number n tells of the members, and noise, steps and denominators follow
    from n, not from how many images there are. Whatever is chosen keeps (eps, delta).
    """
    if prior is None:
        return _linear(private_features.of_frequencies(shape), n, n_classes, eps, delta)
    if release.components(float(n), n_classes, private_means.noise(n, eps, delta)) > 1:
        return _linear(private_features.of_prior(prior), n, n_classes, eps, delta)

    def train(images, labels, secret=None):
        return private_means.train(images, labels, n_classes, eps, delta, prior, secret, n)

    name = f"nearest noised class mean in the space of {prior.name}"
    return Way(name, train, functools.partial(_means, prior))


def _means(prior, params, images):
    return private_means.logits(params, images, prior)


def _linear(features, n, n_classes, eps, delta):
    def train(images, labels, secret=None):
        return private_linear.train(images, labels, n_classes, eps, delta, features, secret, n)

    def logits(params, images):
        return private_linear.logits(params, images, features)

    return Way(f"linear in {features.name}", train, logits)
