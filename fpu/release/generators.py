"""A trained generator as two files without code: its parameters (.npz), its model and shapes (.json).

What is written is what draws images, nothing of how it was trained: no optimizer state, key, step or member.
A release may come from anywhere, so sizes are bounded before anything is built, and code or files that a public prior
needs are used only where the reader names them too.
"""

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fpu import InputError, models, priors
from fpu.baselines import BASELINES, OF_PRIOR, RELEASES
from fpu.data import npz
from fpu.files import safe
from fpu.priors import brightness, conditioning, draws

NUMBERS, FACTS = "generator.npz", "generator.json"
MOST = 10**5  # arrays of a generator; also the largest integer of a config
_FACTS_BYTES = 2**20  # of generator.json, at most
_NUMBERS_BYTES = 2**28  # of all arrays together, at most: ten times the largest model there is


class Generator(NamedTuple):
    """All that is needed to draw images, without the data."""

    model: str  # one of models.MODELS, or of baselines.RELEASES
    config: dict | None  # of the model; None for a one-shot release
    spec: models.Spec
    class_names: tuple[str, ...]
    params: Any
    prior: priors.Prior | None = None  # whose images are drawn

    def sample(self, key: jax.Array, labels: jax.Array) -> jax.Array:
        """float32 [n, H, W, C] in [0, 1] for labels [n]."""
        if self.model in OF_PRIOR:
            return BASELINES[self.model](self.spec, self.prior).sample(self.params, key, labels)
        draw = functools.partial(_sampler_of(self), self.params)
        if not self.spec.code:
            return draw(key, labels)
        return conditioning.sample(self.params, self.spec.n_classes, draw, key, labels)


# (name, spec) -> the prior; InputError where it is not to be used.
Find = Callable[[str, models.Spec], priors.Prior]


def named(given: str | None, name: str, spec: models.Spec) -> priors.Prior:
    """The Find of a reader who names the prior `given`, or none.

    Built-in priors are fpu's own. Another is code to be run or a file to be read: a release alone does not decide that.
    """
    if name in priors.PRIORS:
        return priors.load(name, spec)
    if name.partition(":")[0] == "images":
        fits, way = str(given).startswith("images:"), "images:WHAT with the same images"
    else:
        fits, way = given == name, f"{name}, if you trust that code"
    if given is None or not fits:
        raise InputError(f"this release draws images of the prior {name}: add --prior={way}")
    return priors.load(given, spec)


BUILT_IN: Find = functools.partial(named, None)


def save(folder: Path, generator: Generator) -> None:
    """Write both files."""
    flat = traverse_util.flatten_dict(generator.params, sep="/")
    safe.write_npz(folder / NUMBERS, {name: np.asarray(leaf) for name, leaf in flat.items()})
    facts = {
        "model": generator.model,
        "config": generator.config,
        "shape": list(generator.spec.shape),
        "n_classes": generator.spec.n_classes,
        "class_names": list(generator.class_names),
    }
    if generator.spec.code:
        facts["code"] = generator.spec.code
    if generator.prior is not None:
        facts["prior"] = {"name": generator.prior.name, "version": generator.prior.version}
    safe.write_json(folder / FACTS, facts)


def load(folder: Path, find: Find = BUILT_IN) -> Generator:
    """What `save` wrote. Raises InputError, naming the file, for anything else.

    find: loads the public prior that the release draws with, where it does.
    """
    facts = _facts(folder / FACTS, find)
    path = folder / NUMBERS
    names = safe.npz_names(path, MOST)
    headers = safe.npz_headers(path, names)
    if wrong := [name for name in names if headers[name][1] != np.float32]:
        raise InputError(f"{path}: {wrong[0]} is not float32, so this is no generator of fpu")
    if sum(math.prod(shape) * 4 for shape, _ in headers.values()) > _NUMBERS_BYTES:
        raise InputError(
            f"{path}: holds more than {_NUMBERS_BYTES} bytes: no generator of fpu does"
        )
    arrays = {name: safe.npz_array(path, name) for name in names}
    if wrong := [name for name in names if not np.isfinite(arrays[name]).all()]:
        raise InputError(f"{path}: {wrong[0]} holds numbers that are not finite: damaged")
    with safe.one_line(path, f"a {facts.model} of this shape"):
        params = traverse_util.unflatten_dict(arrays, sep="/")
        if facts.model in models.MODELS:
            params = {"private": {}, "public": {}} | params
        generator = facts._replace(params=jax.tree.map(jnp.asarray, params))
        ends = jnp.array([0, facts.spec.n_classes - 1])
        if facts.model in OF_PRIOR:  # numpy on the host: there is no shape without drawing
            _check_brightness(generator)
            images = generator.sample(jax.random.key(0), ends)
        else:
            conditioning.check(generator.params, generator.spec)
            codes = [generator.params[conditioning.CODES][:2]] if generator.spec.code else []
            parts = generator.params, jax.random.key(0), ends, *codes
            images = jax.eval_shape(_sampler_of(generator), *parts)
        if images.shape != (2, *facts.spec.shape):
            raise ValueError(f"it draws {images.shape[1:]}")
    return generator


def _check_brightness(generator: Generator) -> None:
    """ValueError for a brightness that no draw would use, or of another size."""
    found = generator.params.get("brightness")
    if found is None or generator.prior is None:
        return
    if draws.default(generator.prior) != "margin":
        raise ValueError("its prior decodes, so it says nothing of brightness")
    if found.shape != (generator.spec.n_classes, brightness.size(generator.spec.shape)):
        raise ValueError(f"its brightness is {found.shape}")


def _facts(path: Path, find: Find) -> Generator:
    with safe.one_line(path, "what a release of fpu says of its generator"):
        facts = json.loads(safe.read_text(path, _FACTS_BYTES))
        model, config = facts["model"], facts["config"]
        height, width, channels = facts["shape"]
        classes, names, code = facts["n_classes"], facts["class_names"], facts.get("code", 0)
        if model not in (*models.MODELS, *RELEASES):
            raise ValueError(f"no model {model!r}")
        sizes = [height, width, channels, classes, code, *(config or {}).values()]
        if any(type(v) is int and not 0 <= v <= MOST for v in sizes):
            raise ValueError("a size is out of bounds")
        sides = {height, width} <= set(range(npz.MIN_SIDE, npz.MAX_SIDE + 1))
        if not (sides and channels in (1, 3) and classes >= 1):
            raise ValueError("no such images")
        if len(names) != classes or not all(type(name) is str for name in names):
            raise ValueError("class names and classes differ in number")
        if type(code) is not int or (code and model not in models.MODELS):
            raise ValueError("no such code")
        spec = models.Spec((height, width, channels), classes, code)
        made = Generator(model, config, spec, tuple(names), None)
        if model in OF_PRIOR and config is not None:
            raise ValueError("no such prior")
        if model not in OF_PRIOR:
            _sampler_of(made)
            return made
        name, version = facts["prior"]["name"], facts["prior"]["version"]
        if not (type(name) is type(version) is str):
            raise ValueError("no such prior")
    prior = find(name, spec)
    if prior.version != version:
        way = "use the fpu that README.md names"
        if ":" in name:
            way = "name the images or code it was made with"
        raise InputError(
            f"{path}: draws images of the prior {name}, version {version}, and here is version {prior.version}: {way}"
        )
    return made._replace(prior=prior)


def _sampler_of(made: Generator):
    config = None if made.config is None else tuple(sorted(made.config.items()))
    return _sampler(made.model, config, made.spec)


@functools.lru_cache(maxsize=8)
def _sampler(model: str, config, spec):
    """(params, key, labels) -> images, compiled once; of a model that is conditioned on codes also with codes."""
    if model in RELEASES:
        return jax.jit(functools.partial(RELEASES[model].sample, spec))
    module = models.load(model)
    sample = module.make(module.Config(**dict(config)), spec).sample
    return jax.jit(lambda params, key, labels, codes=(): sample(params, key, labels, codes))
