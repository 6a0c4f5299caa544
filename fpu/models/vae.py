"""Class-conditional variational auto-encoder (arXiv:1312.6114): the ELBO of one example, no cross-example term."""

import dataclasses
from typing import Annotated

import flax.linen as linen
import jax
import jax.numpy as jnp

from fpu.models import Defaults, Model, Spec, condition, conditions, layers


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and the weight of the KL term."""

    # A mixer (dense or patches; cheap on a CPU) or conv (the paper's).
    net: Annotated[str, ("mixer", "conv")] = "mixer"
    # Side of the mixer's patches; 0 = the whole image is one: a dense network.
    patch: Annotated[int, (0, 64)] = 0
    width: Annotated[int, (1, 2048)] = 64
    depth: Annotated[int, (1, 32)] = 2
    latent: Annotated[int, (1, 1024)] = 16
    beta: Annotated[float, (0.0, 1e3)] = 1.0  # weight of the KL term
    # Steps over which beta grows from 0 (a public schedule).
    beta_steps: Annotated[int, (0, 10**7)] = 0


SIZES = {
    "tiny": Config(width=128, depth=2, latent=12),
    "default": Config(width=256, depth=2, latent=24),
    "paper": Config(net="conv", latent=128),
}
# Draws from a normal distribution are smooth, so a model taught by them needs less regularisation.
DEFAULTS = Defaults(config_on_draws={"beta": 0.1})


def make(config: Config, spec: Spec) -> Model:
    """The VAE of this size for these images."""
    networks = {"mixer": (_MixerEncoder, _MixerDecoder), "conv": (_ConvEncoder, _ConvDecoder)}
    encoder, decoder = (network(config, spec) for network in networks[config.net])
    pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]

    def init(key):
        k1, k2 = jax.random.split(key)
        image, label = jnp.zeros(spec.shape), jnp.zeros(spec.n_classes + spec.code)
        return {
            "private": {
                "encoder": encoder.init(k1, image, label),
                "decoder": decoder.init(k2, jnp.zeros(config.latent), label),
            },
            "public": {},
        }

    def terms(private, example, key):
        """Reconstruction cross-entropy and KL of one example, in nats."""
        label = condition(spec, example.label, example.code)
        mean, logvar = encoder.apply(private["encoder"], example.image, label)
        z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
        logits = decoder.apply(private["decoder"], z, label)
        # -log Bernoulli(x | sigmoid(logits)) for x in [0, 1]
        reconstruction = jnp.sum(jax.nn.softplus(logits) - example.image * logits)
        kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar)
        return reconstruction, kl

    def loss(private, public, example, step, key):
        del public
        reconstruction, kl = terms(private, example, key)
        beta = config.beta * jnp.minimum(1.0, (step + 1) / max(config.beta_steps, 1))
        return reconstruction + beta * kl, {"reconstruction": reconstruction / pixels, "kl": kl}

    def sample(params, key, labels, codes=()):
        z = jax.random.normal(key, (len(labels), config.latent))

        def decode(z, given):
            return jax.nn.sigmoid(decoder.apply(params["private"]["decoder"], z, given))

        return jax.vmap(decode)(z, conditions(spec, labels, codes))

    def scores(params, example, key):
        """Minus errors that are low for members.

        reconstruction: |decode(posterior's mean) - x|^2 (arXiv:1906.03006 takes the mean over posterior draws).
        Deterministic. It finds more members than the cross-entropy in the loss, which is higher for grey images
        whether they are members or not.
        elbo: the loss, its mean over 8 draws.
        """
        private = params["private"]
        label = condition(spec, example.label, example.code)
        mean, _ = encoder.apply(private["encoder"], example.image, label)
        decoded = jax.nn.sigmoid(decoder.apply(private["decoder"], mean, label))
        cross_entropy, kl = jax.vmap(lambda k: terms(private, example, k))(jax.random.split(key, 8))
        return {
            "reconstruction": -jnp.sum(jnp.square(decoded - example.image)),
            "elbo": -jnp.mean(cross_entropy + config.beta * kl),
        }

    return Model(init, loss, None, sample, scores)


class _MixerEncoder(linen.Module):
    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, image, label):
        condition = linen.gelu(linen.Dense(self.config.width)(label))
        x = layers.mixed(self.config, image, condition)
        mean, logvar = jnp.split(linen.Dense(2 * self.config.latent)(x), 2)
        return mean, jnp.clip(logvar, -6.0, 4.0)


class _MixerDecoder(linen.Module):
    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, z, label):
        c, shape = self.config, self.spec.shape
        patch = layers.patch_side(c.patch, shape)
        h, w = layers.token_grid(shape, patch)
        z = jnp.concatenate([z, label])
        condition = linen.gelu(linen.Dense(c.width)(z))
        narrow = layers.readout_width(h * w, c.width)
        x = linen.Dense(c.width)(linen.Dense(h * w * narrow)(z).reshape(h * w, narrow))
        x = layers.Mixer(c.depth, c.width, 2 * c.width)(x, condition)
        return layers.unpatchify(linen.Dense(patch**2 * shape[2])(x), shape, patch)


class _ConvEncoder(linen.Module):
    """The paper's encoder."""

    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, image, label):
        x = layers.with_label(image, label)
        for features, kernel, strides in ((32, 4, 2), (64, 4, 2), (128, 3, 1)):
            x = layers.Conv(features, (kernel, kernel), strides)(x)
            x = linen.gelu(layers.GroupNorm(8)(x))
        mean, logvar = jnp.split(linen.Dense(2 * self.config.latent)(x.reshape(-1)), 2)
        return mean, jnp.clip(logvar, -4.0, 4.0)


class _ConvDecoder(linen.Module):
    """The paper's decoder, with nearest-neighbour upsampling before each convolution."""

    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, z, label):
        h, w = layers.token_grid(self.spec.shape, 4)
        x = linen.gelu(linen.Dense(256)(jnp.concatenate([z, label])))
        x = linen.gelu(linen.Dense(h * w * 128)(x)).reshape(h, w, 128)
        x = linen.gelu(layers.GroupNorm(8)(layers.Conv(256)(x)))
        for features in (128, 64):
            x = linen.gelu(layers.GroupNorm(8)(layers.Conv(features)(layers.upsample(x))))
        return layers.crop(layers.Conv(self.spec.shape[2])(x), self.spec.shape)
