"""The semantic VAE of a prior: codes that rebuild an image and name its class. Trained on public images only.

The loss of ONE image is

    Bernoulli nats of the image + beta KL(posterior | normal) + weight * cross-entropy of its class, from a linear head

(VAE: arXiv:1312.6114.) The head makes images of one letter lie together, so that the mean of a class of OTHER images, a
digit say, says what they look like. The KL term keeps the codes round: a public radius and no whitening do.

Weights are shipped in fpu/priors/weights/ (float16, without the head), one network for side 8 and one for side 28;
images of other sides are resampled. `python -m experiments.prior` makes them.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from fpu import InputError
from fpu.dp.rows import each_alone
from fpu.files import safe
from fpu.models import Spec, layers
from fpu.priors import Space, warps

VERSION = "1"  # of the networks: other layers cannot read these weights
FOLDER = Path(__file__).parent / "weights"
BATCH, RATE, WARM_UP, WEIGHT_DECAY, EMA = 128, 2e-3, 300, 1e-3, 0.997
_CHUNK = 1000  # images in one call of a trained network


class Config(NamedTuple):
    """Sizes and loss weights of one network."""

    side: int
    latent: int
    # Channels; each but the first convolution is 3 x 3, each is halved by max pooling.
    convolutions: tuple[int, ...]
    dense: tuple[int, ...]  # of the encoder, after the convolutions
    decoder: tuple[int, ...]
    pixels: float  # weight of the nats of the pixels
    beta: float  # of the KL term
    naming: float  # of the class


CONFIGS = {
    8: Config(8, 24, (), (384, 256), (256, 384), 2.0, 0.3, 30.0),
    28: Config(28, 48, (16, 48), (192,), (384, 512), 1.0, 0.4, 30.0),
}


class Encoder(nn.Module):
    """ONE image [side, side, 1] in [0, 1] -> mean and log variance of its code, [latent] each.

    Or, where `hidden`, the last layer before them [dense[-1]].
    """

    config: Config
    hidden: bool = False

    @nn.compact
    def __call__(self, image: jax.Array) -> Any:
        x = image - 0.2
        for number, channels in enumerate(self.config.convolutions):
            kernel, stride = ((4, 4), 2) if number == 0 else ((3, 3), 1)
            x = _halved(nn.relu(layers.Conv(channels, kernel, stride)(x)))
        x = x.reshape(-1)
        for width in self.config.dense:
            x = nn.gelu(nn.Dense(width)(x))
        if self.hidden:
            return x
        mean, logvar = jnp.split(nn.Dense(2 * self.config.latent)(x), 2)
        return mean, jnp.clip(logvar, -8.0, 3.0)


class Decoder(nn.Module):
    """ONE code [latent] -> logits of the pixels [side, side, 1]."""

    config: Config

    @nn.compact
    def __call__(self, code: jax.Array) -> jax.Array:
        for width in self.config.decoder:
            code = nn.gelu(nn.Dense(width)(code))
        side = self.config.side
        return nn.Dense(side * side)(code).reshape(side, side, 1)


def _halved(x):
    """2 x 2 maxima of [H, W, C], sizes rounded up; a maximum over axes, as XLA's windowed one is slow on a CPU."""
    h, w, c = x.shape
    x = jnp.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape((h + 1) // 2, 2, (w + 1) // 2, 2, c).max((1, 3))


def _applied(module: nn.Module, params: Any, x: jax.Array) -> Any:
    return module.apply(params, x)


def terms(config: Config, params: Any, image: jax.Array, kind: jax.Array, key: jax.Array):
    """(nats of the pixels, KL, cross-entropy of the class) of ONE image [side, side, 1] of class `kind`."""
    mean, logvar = _applied(Encoder(config), params["encoder"], image)
    code = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
    logits = _applied(Decoder(config), params["decoder"], code)
    nats = jnp.sum(jax.nn.softplus(logits) - image * logits)
    kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar)
    named = code @ params["head"]["kernel"] + params["head"]["bias"]
    return nats, kl, optax.softmax_cross_entropy_with_integer_labels(named, kind)


def initial(config: Config, classes: int, key: jax.Array) -> dict[str, Any]:
    """Random parameters: encoder, decoder, and the head that names one of `classes`."""
    k_encoder, k_decoder, k_head = jax.random.split(key, 3)
    kernel = jax.random.normal(k_head, (config.latent, classes)) * config.latent**-0.5
    return {
        "encoder": Encoder(config).init(k_encoder, jnp.zeros((config.side, config.side, 1))),
        "decoder": Decoder(config).init(k_decoder, jnp.zeros(config.latent)),
        "head": {"kernel": kernel, "bias": jnp.zeros(classes)},
    }


def fit(
    config: Config,
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    classes: int,
    steps: int,
    seed: int,
    say: Callable[[int, np.ndarray], None] = lambda step, losses: None,
) -> dict[str, Any]:
    """Averaged parameters after `steps` steps of AdamW.

    Args:
      batches: of (uint8 [BATCH, side, side, 1], int32 [BATCH]), as many as steps or more; public images.
      say: called every hundredth of the steps with the step and the last batch's terms [3].
    """
    k_init, k_steps = jax.random.split(jax.random.key(seed))
    params = initial(config, classes, k_init)
    state = params, params, _optimiser(steps).init(params)
    for step in range(steps):
        images, kinds = next(batches)
        key = jax.random.fold_in(k_steps, step)
        state, losses = _step(config, steps, state, images, kinds, key)
        if (step + 1) % max(steps // 100, 1) == 0:
            say(step + 1, np.asarray(losses))
    return jax.tree.map(np.asarray, state[1])


def _optimiser(steps):
    warm_up = min(WARM_UP, steps // 4 + 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, warm_up, max(steps, warm_up + 1))
    return optax.adamw(rate, weight_decay=WEIGHT_DECAY)


# A jitted step in a Python loop, not a scan: XLA's convolutions are slow inside a loop on a CPU.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(config, steps, state, images, kinds, key):
    params, average, optimiser = state
    pixels = images.astype(jnp.float32) / 255.0

    def loss(params):
        keys = jax.random.split(key, len(images))
        one = functools.partial(terms, config, params)
        nats, kl, naming = (jnp.mean(term) for term in jax.vmap(one)(pixels, kinds, keys))
        total = config.pixels * nats + config.beta * kl + config.naming * naming
        return total, jnp.stack([nats, kl, naming])

    gradient, losses = jax.grad(loss, has_aux=True)(params)
    updates, optimiser = _optimiser(steps).update(gradient, optimiser, params)
    params = optax.apply_updates(params, updates)
    average = jax.tree.map(lambda old, new: EMA * old + (1 - EMA) * new, average, params)
    return (params, average, optimiser), losses


def weights(prior: str, side: int) -> Path:
    """The file that holds a prior's network for images of this side."""
    return FOLDER / f"{prior}-{side}.npz"


@functools.cache
def digest(prior: str) -> str:
    """Eight hex digits of the SHA-256 of all of a prior's weights; they change whenever a code does."""
    files = sorted(FOLDER.glob(f"{prior}-*.npz"))
    return hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()[:8]


def _flat(params) -> dict[str, Any]:
    """{name: array} of encoder and decoder; the head has done its work."""
    kept = {part: params[part]["params"] for part in ("encoder", "decoder")}
    return flatten_dict(kept, sep=".")


def save(path: Path, params: dict[str, Any]) -> None:
    """Write encoder and decoder as float16, with the VERSION."""
    arrays = {name: np.asarray(x, np.float16) for name, x in _flat(params).items()}
    safe.write_npz(path, {**arrays, "version": np.array(VERSION)}, compressed=False)


def read(path: Path, config: Config) -> dict[str, Any]:
    """Encoder and decoder, float32. InputError where the file is absent, damaged or of another version."""
    remake = f"make it with: python -m experiments.prior --side={config.side}"
    try:
        names = safe.npz_names(path, most=64)
        safe.npz_headers(path, names)
        arrays = {name: safe.npz_array(path, name) for name in names}
    except InputError as error:
        raise InputError(f"{error}; {remake}") from error
    if str(arrays.pop("version", "none")) != VERSION:
        raise InputError(f"{path}: weights of another version than {VERSION}; {remake}")
    wanted = _flat(jax.eval_shape(lambda: initial(config, 1, jax.random.key(0))))
    if {k: x.shape for k, x in arrays.items()} != {k: x.shape for k, x in wanted.items()}:
        raise InputError(f"{path}: weights of another network; {remake}")
    params = unflatten_dict({k: x.astype(np.float32) for k, x in arrays.items()}, sep=".")
    return {part: {"params": inner} for part, inner in params.items()}


def space(prior: str, spec: Spec) -> Space:
    """The Space of a prior's shipped network for images of this shape: (H, W, 1), resampled to side 8 or 28."""
    side = warps.design(spec.shape)
    return of(CONFIGS[side], _shipped(prior, side), spec)


@functools.lru_cache(maxsize=4)
def _shipped(prior, side):
    return read(weights(prior, side), CONFIGS[side])


def of(config: Config, params: dict[str, Any], spec: Spec) -> Space:
    """The Space of a trained network for images of this shape."""

    def encoded(images, hidden=False):
        square = warps.resize(images, (config.side, config.side))
        encode = functools.partial(_encode, config, hidden, params["encoder"])
        return each_alone(encode, square, _CHUNK)

    def decode(codes):
        images = each_alone(functools.partial(_decode, config, params["decoder"]), codes, _CHUNK)
        return warps.resize(images, spec.shape[:2])

    return Space(encoded, decode, functools.partial(encoded, hidden=True))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(config, hidden, params, images):
    def one(image):
        found = _applied(Encoder(config, hidden), params, image.astype(jnp.float32) / 255.0)
        return found if hidden else found[0]

    return jax.vmap(one)(images)


@functools.partial(jax.jit, static_argnums=0)
def _decode(config, params, codes):
    def one(code):
        return jax.nn.sigmoid(_applied(Decoder(config), params, code))

    return jnp.round(255.0 * jax.vmap(one)(codes.astype(jnp.float32))).astype(jnp.uint8)
