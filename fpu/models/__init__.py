"""The contract of a generator, and how a model is found by name.

To add a model, write one file here and add its name to MODELS. The file exports

    Config                        a frozen dataclass of sizes and loss weights; Annotated[type, limit] says what --set
                                  may give: (least, most), or words
    SIZES                         {'tiny', 'default', 'paper': Config}, and others
    make(config, spec) -> Model   the five functions below
    DEFAULTS                      how it is trained; where it is absent, `Defaults()`

Everything else (privacy, training, evaluation, reports) then works on it. fpu/models/vae.py is the shortest to read.
"""

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple, get_type_hints

import chex
import jax
import jax.numpy as jnp

Params = Any


class Spec(NamedTuple):
    """What a model knows of the data: public facts only."""

    shape: tuple[int, int, int]  # H, W, C; H, W >= 8, C in {1, 3}
    n_classes: int
    code: int = 0  # numbers that say more of an image than its class (fpu/priors/conditioning.py)


class Example(NamedTuple):
    """ONE private example."""

    image: jax.Array  # float32 [H, W, C] in [0, 1]
    label: jax.Array  # int32 scalar
    code: Any = ()  # float32 [Spec.code]; () where that is 0


class Draws(NamedTuple):
    """Public images, drawn from a release, and their codes."""

    image: jax.Array  # uint8 [N, H, W, C]
    label: jax.Array  # int32 [N]
    code: jax.Array  # float32 [N, Spec.code]


class Model(NamedTuple):
    """Pure functions. Privacy by type: only `loss` trains on an example; what takes none cannot leak.

    init(key) -> {'private': pytree, 'public': pytree}       {} where a part is not used
    loss(private, public, example, step, key) -> (scalar, aux)    ONE example, differentiated with
        respect to `private`, clipped and noised by the engine. No BatchNorm, no other example.
    public_loss(public, private, key, draws) -> scalar, or None     trains `public` without data
    sample(params, key, labels [n], codes [n, d]) -> images float32 [n, H, W, C] in [0, 1]
    scores(params, example, key) -> {name: scalar}           higher = more like a member

    codes: of draws, so public; () where Spec.code is 0.
    draws: Draws; () where Spec.code is 0.
    """

    init: Callable[..., dict[str, Params]]
    loss: Callable[..., tuple[jax.Array, Any]]
    public_loss: Callable[..., jax.Array] | None
    sample: Callable[..., jax.Array]
    scores: Callable[..., dict[str, jax.Array]]


class Defaults(NamedTuple):
    """How a model is trained where no flag says otherwise; fpu/pipeline/defaults.py makes recipes of it.

    All numbers are public: none was chosen by looking at the members of a run.
    """

    steps: int = 1000  # of DP-SGD from scratch
    learning_rate: float = 2e-3  # without noise, and on draws
    # With noise larger rates pay: all gradients are clipped, so a step says little, and Adam averages the steps.
    private_learning_rate: float = 3e-3
    b1: float = 0.9  # of Adam, in every preset
    ema: float = 0.99  # decay of the averaged parameters
    critic_steps_after_draws: int = 1  # private steps for each public one, once taught by draws
    # On draws of small images; fpu/priors/README.md says what more of them give.
    draw_steps: int = 4000
    # Fields of Config, when taught by draws.
    config_on_draws: Mapping[str, Any] = MappingProxyType({})
    config_of_prior: Mapping[str, Mapping[str, Any]] = MappingProxyType({})  # and by a prior's name


MODELS = ("vae", "gan", "ddpm")


def load(name: str) -> ModuleType:
    """The module of a model: its Config, SIZES and make.

    Raises:
      ValueError: no model has this name.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; known: {', '.join(MODELS)}")
    return importlib.import_module(f"fpu.models.{name}")


def learning(name: str) -> Defaults:
    """The Defaults of a model; the common ones where its file has none."""
    return getattr(load(name), "DEFAULTS", Defaults())


def limits(config: Any) -> dict[str, tuple]:
    """{field: (least, most) or words} of a Config or Recipe, or its class: the limits that its annotations give."""
    of = config if isinstance(config, type) else type(config)
    hints = get_type_hints(of, include_extras=True)
    return {
        name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")
    }


def condition(spec: Spec, label: jax.Array, code: Any = ()) -> jax.Array:
    """float32 [n_classes + code]: what one image is made from, its class as one-hot and its code."""
    chex.assert_rank(label, 0)  # of one image, not of a batch
    hot = jax.nn.one_hot(label, spec.n_classes)  # all zero where the label is no class
    if not spec.code:
        return hot
    chex.assert_shape(code, (spec.code,))
    return jnp.concatenate([hot, code])


def conditions(spec: Spec, labels: jax.Array, codes: Any = ()) -> jax.Array:
    """The `condition` of each of n images: float32 [n, n_classes + code] of labels [n] and codes [n, code]."""
    return jax.vmap(lambda label, code: condition(spec, label, code))(labels, codes)
