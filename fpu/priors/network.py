"""The semantic VAE of a prior: codes that rebuild an image and name its class. Trained on public images only.

Weights are shipped in fpu/priors/weights/ (float16, without the head), one network for side 8 and one for side 28;
images of other sides are resampled. `python -m experiments.prior` makes them (training.py).
"""

import functools
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fpu import InputError
from fpu.dp.rows import each_alone
from fpu.files import safe
from fpu.models import Spec, layers
from fpu.priors import Space, warps

VERSION = "1"  # of the networks: other layers cannot read these weights
FOLDER = Path(__file__).parent / "weights"
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


def applied(module: nn.Module, params: Any, x: jax.Array) -> Any:
    return module.apply(params, x)


def initial(config: Config, classes: int, key: jax.Array) -> dict[str, Any]:
    """Random parameters: encoder, decoder, and the head that names one of `classes`."""
    k_encoder, k_decoder, k_head = jax.random.split(key, 3)
    kernel = jax.random.normal(k_head, (config.latent, classes)) * config.latent**-0.5
    return {
        "encoder": Encoder(config).init(k_encoder, jnp.zeros((config.side, config.side, 1))),
        "decoder": Decoder(config).init(k_decoder, jnp.zeros(config.latent)),
        "head": {"kernel": kernel, "bias": jnp.zeros(classes)},
    }


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
        arrays = safe.npz_arrays(path, safe.npz_names(path, most=64))
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
        if config.side == warps.SIDES[1] and square is not images:
            square = warps.with_edges(square)
        encode = functools.partial(_encode, config, hidden, params["encoder"])
        return each_alone(encode, square, _CHUNK)

    def decode(codes):
        images = each_alone(functools.partial(_decode, config, params["decoder"]), codes, _CHUNK)
        return warps.resize(images, spec.shape[:2])

    return Space(encoded, decode, functools.partial(encoded, hidden=True))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(config, hidden, params, images):
    def one(image):
        found = applied(Encoder(config, hidden), params, image.astype(jnp.float32) / 255.0)
        return found if hidden else found[0]

    return jax.vmap(one)(images)


@functools.partial(jax.jit, static_argnums=0)
def _decode(config, params, codes):
    def one(code):
        return jax.nn.sigmoid(applied(Decoder(config), params, code))

    return jnp.round(255.0 * jax.vmap(one)(codes.astype(jnp.float32))).astype(jnp.uint8)
