"""The contract of a generator, and how one is found by name.

To add a model, write one file here that exports `Config` (a frozen dataclass), `SIZES` (a dict of
named configs with at least tiny, default and paper) and `make(config, spec) -> Model`, and add its
name to MODELS. Everything else (privacy, training, evaluation, reports) then works on it.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Params = Any


class Spec(NamedTuple):
    """What a model knows of the data: public facts only."""

    shape: tuple[int, int, int]  # H, W, C; H, W >= 8, C in {1, 3}
    n_classes: int


class Example(NamedTuple):
    """ONE private example."""

    image: jax.Array  # float32 [H, W, C] in [0, 1]
    label: jax.Array  # int32 scalar


class Model(NamedTuple):
    """Pure functions. Privacy by type: only `loss` sees an example; what takes none cannot leak.

    init(key) -> {'private': pytree, 'public': pytree}       {} where a part is not used
    loss(private, public, example, step, key) -> (scalar, aux)    ONE example, differentiated with
        respect to `private`, clipped and noised by the engine. No BatchNorm, no other example.
    public_loss(public, private, key) -> scalar, or None     trains `public` without data
    sample(params, key, labels [n]) -> images float32 [n, H, W, C] in [0, 1]
    scores(params, example, key) -> {name: scalar}           higher = more like a member
    """

    init: Callable[..., dict[str, Params]]
    loss: Callable[..., tuple[jax.Array, Any]]
    public_loss: Callable[..., jax.Array] | None
    sample: Callable[..., jax.Array]
    scores: Callable[..., dict[str, jax.Array]]


MODELS = ("vae", "gan", "ddpm")


def load(name: str):
    """The module of a model: its Config, SIZES and make."""
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; known: {', '.join(MODELS)}")
    return importlib.import_module(f"fpu.models.{name}")


def one_hot(label, n_classes: int):
    """float32 [n_classes]; all zero for label = n_classes, the null label of guidance."""
    return (jnp.arange(n_classes) == label).astype(jnp.float32)
