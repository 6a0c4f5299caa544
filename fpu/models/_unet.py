"""A small context U-Net like the paper's: two halvings; time and label enter on the way up."""

import flax.linen as linen
import jax.numpy as jnp

from fpu.models import layers


class _Residual(linen.Module):
    """Two 3x3 convolutions with GroupNorm and a skip."""

    features: int

    @linen.compact
    def __call__(self, x):
        first = linen.gelu(layers.GroupNorm(8)(layers.Conv(self.features)(x)))
        second = linen.gelu(layers.GroupNorm(8)(layers.Conv(self.features)(first)))
        return (first + second) / jnp.sqrt(2.0)


class UNet(linen.Module):
    """(image [H, W, C], time features [E], label [K]) to an image [H, W, C]. width 128: about 6.6 M parameters."""

    width: int

    @linen.compact
    def __call__(self, image, time, label):
        shapes, skips = [], []
        x = _Residual(self.width)(image)
        full = x
        for features in (self.width, 2 * self.width):
            shapes.append(x.shape)
            x = layers.Conv(features, strides=2)(_Residual(features)(x))
            skips.append(x)
        # The bottleneck summarises the image and broadcasts it back.
        summary = linen.gelu(jnp.mean(x, axis=(0, 1)))
        x = jnp.broadcast_to(linen.Dense(2 * self.width)(summary)[None, None], x.shape)
        x = linen.relu(layers.GroupNorm(8)(x))
        for features, skip, shape in zip(
            (2 * self.width, self.width), reversed(skips), reversed(shapes), strict=True
        ):
            scale = linen.Dense(features)(linen.gelu(linen.Dense(features)(label)))
            shift = linen.Dense(features)(linen.gelu(linen.Dense(features)(time)))
            x = layers.Conv(features)(x) * scale[None, None] + shift[None, None]
            x = _Residual(features)(
                layers.crop(layers.upsample(jnp.concatenate([x, skip], -1)), shape)
            )
        x = linen.relu(layers.GroupNorm(8)(layers.Conv(self.width)(jnp.concatenate([x, full], -1))))
        return layers.Conv(image.shape[-1])(x)
