"""The layers: convolution, norm, time embedding, patches, mixer blocks, resampling.

Every layer takes ONE example without a batch axis and mixes nothing across examples (no BatchNorm),
so a per-example gradient is well defined and its sensitivity can be bounded.
"""

import math
from collections.abc import Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp


def Conv(features: int, kernel_size: tuple[int, int] = (3, 3), strides: int = 1) -> nn.Conv:
    """k x k convolution of one image [H, W, C], zero padding of k // 2; strides 2 halves H and W (rounded up)."""
    padding = [(k // 2, (k - 1) // 2) for k in kernel_size]
    return nn.Conv(features, kernel_size, strides, padding)


class GroupNorm(nn.Module):
    """GroupNorm of one image [H, W, C]. (flax's takes H for the batch axis when there is none.)"""

    groups: int

    @nn.compact
    def __call__(self, x):
        groups = math.gcd(self.groups, x.shape[-1])  # of equal size, whatever the width
        return nn.GroupNorm(num_groups=groups)(x[None])[0]


def upsample(x: jax.Array) -> jax.Array:
    """Nearest-neighbour upsampling of [H, W, C] to [2H, 2W, C]."""
    h, w, c = x.shape
    return jnp.broadcast_to(x[:, None, :, None], (h, 2, w, 2, c)).reshape(2 * h, 2 * w, c)


def crop(x: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The top-left [H, W] corner of [H', W', C], for sizes that halving had rounded up."""
    return x[: shape[0], : shape[1]]


def time_embedding(t: jax.Array, width: int) -> jax.Array:
    """Sinusoidal features [width] of a scalar t in [0, 1] (arXiv:2006.11239, as in transformers)."""
    frequencies = jnp.exp(jnp.linspace(0.0, jnp.log(1000.0), width // 2))
    return jnp.concatenate([jnp.sin(frequencies * t), jnp.cos(frequencies * t)])


def token_grid(shape: Sequence[int], patch: int) -> tuple[int, int]:
    """How many patches cover an image of this shape, down and across."""
    return -(-shape[0] // patch), -(-shape[1] // patch)


def patch_side(patch: int, shape: Sequence[int]) -> int:
    """The side of a patch in pixels; 0 stands for the whole image."""
    return patch or max(shape[:2])


def patchify(image: jax.Array, patch: int) -> jax.Array:
    """[H, W, C] to tokens [T, patch * patch * C]; H and W are zero-padded to a multiple of patch."""
    chex.assert_rank(image, 3)  # one image, not a batch
    h, w = token_grid(image.shape, patch)
    padding = ((0, h * patch - image.shape[0]), (0, w * patch - image.shape[1]), (0, 0))
    x = jnp.pad(image, padding).reshape(h, patch, w, patch, image.shape[2])
    return x.transpose(0, 2, 1, 3, 4).reshape(h * w, -1)


def unpatchify(tokens: jax.Array, shape: Sequence[int], patch: int) -> jax.Array:
    """Tokens [T, patch * patch * C] back to [H, W, C], the padding cut off."""
    h, w = token_grid(shape, patch)
    x = tokens.reshape(h, w, patch, patch, -1).transpose(0, 2, 1, 3, 4)
    return crop(x.reshape(h * patch, w * patch, -1), shape)


def with_label(image: jax.Array, label: jax.Array) -> jax.Array:
    """[H, W, C] and [K] to [H, W, C + K]: the label as constant planes."""
    planes = jnp.broadcast_to(label[None, None], (*image.shape[:2], len(label)))
    return jnp.concatenate([image, planes], -1)


def readout_width(tokens: int, width: int) -> int:
    """Channels of each token at a layer that sees the whole image: few, unless there is one token."""
    return width if tokens == 1 else 16


class MixerBlock(nn.Module):
    """One block of an MLP-Mixer (arXiv:2105.01601) on tokens [T, D], shifted and scaled by a condition [E].

    A network on patches is several times cheaper on a CPU than a full-resolution convolutional one,
    and its weights are shared by the tokens. With one token, a patch as large as the image, the block is that of a
    residual dense network.
    """

    token_width: int
    channel_width: int

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        tokens, width = x.shape
        scale, shift = jnp.split(nn.Dense(2 * width, name="condition")(condition), 2)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale)[None] + shift[None]
        if tokens > 1:
            y = nn.Dense(self.token_width)(y.T)
            x = x + nn.Dense(tokens)(nn.gelu(y)).T
            y = nn.LayerNorm()(x)
        y = nn.Dense(self.channel_width)(y)
        return x + nn.Dense(width)(nn.gelu(y))


class Mixer(nn.Module):
    """`depth` mixer blocks on tokens [T, D] under a condition [E], normalised at the end."""

    depth: int
    token_width: int
    channel_width: int

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        for _ in range(self.depth):
            x = MixerBlock(self.token_width, self.channel_width)(x, condition)
        return nn.LayerNorm()(x)


def mixed(config, image: jax.Array, condition: jax.Array) -> jax.Array:
    """Inside a compact module: what a mixer of a model's `config` (patch, width, depth) makes of an image, flat."""
    tokens = patchify(2 * image - 1, patch_side(config.patch, image.shape))
    x = nn.Dense(config.width)(tokens)
    x = Mixer(config.depth, config.width, 2 * config.width)(x, condition)
    return nn.gelu(nn.Dense(readout_width(len(x), config.width))(x)).reshape(-1)
