"""Class-conditional GAN (arXiv:1406.2661): the critic is private, the generator never sees an example.

The generator learns from the noised critic and from public draws alone, so it is post-processing: it is shown fakes of
labels of a uniform prior, or of codes of draws. A fake of a draw's code should also be near to that draw, as in pix2pix
(arXiv:1611.07004): for whoever knows the code, a critic alone lets much noise pass. Where there are codes, the fake in
the critic's loss of a member has that member's label and code. One step of the plan is one critic step.
"""

import dataclasses
from typing import Annotated

import flax.linen as linen
import jax
import jax.numpy as jnp
import optax

from fpu.models import Defaults, Model, Spec, condition, conditions, frequencies, layers


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, the gradient penalty, and the batch the generator draws."""

    # A mixer (dense or patches; cheap on a CPU) or conv (the paper's).
    net: Annotated[str, ("mixer", "conv")] = "mixer"
    # Side of the mixer's patches; 0 = the whole image is one: a dense network.
    patch: Annotated[int, (0, 64)] = 0
    width: Annotated[int, (1, 2048)] = 96
    depth: Annotated[int, (1, 32)] = 3
    latent: Annotated[int, (1, 1024)] = 32
    # Weight of R1 (arXiv:1801.04406): |grad_x critic(x)|^2 on the real one.
    penalty: Annotated[float, (0.0, 1e3)] = 1.0
    generator_batch: Annotated[int, (1, 4096)] = 64
    # Weight of the mean absolute error between a fake and the draw of the same code (arXiv:1611.07004, eq. 3 and 4).
    reconstruction: Annotated[float, (0.0, 1e4)] = 10.0
    # Weight of the same between the logarithms of their power spectra: else the generator leaves fine texture out. In
    # the manner of the focal frequency loss (arXiv:2012.12821).
    spectrum: Annotated[float, (0.0, 1e4)] = 0.0


SIZES = {
    "tiny": Config(width=128, depth=2),
    "default": Config(width=256, depth=2),
    "paper": Config(net="conv", latent=100, penalty=0.0),
}
DEFAULTS = Defaults(
    learning_rate=1e-3,
    private_learning_rate=1e-3,
    b1=0.5,
    ema=0.995,
    # After the draws, noise moves the critic faster than the generator should follow.
    critic_steps_after_draws=5,
    config_on_draws={"penalty": 0.1},  # draws are smooth and need less regularisation
    config_of_prior={
        "layers": {"spectrum": 1.0}
    },  # retinas differ by texture; X-rays gained nothing
)


def make(config: Config, spec: Spec) -> Model:
    """The GAN of this size for these images."""
    networks = {"mixer": (_MixerCritic, _MixerGenerator), "conv": (_ConvCritic, _ConvGenerator)}
    critic, generator = (network(config, spec) for network in networks[config.net])

    def init(key):
        k1, k2 = jax.random.split(key)
        label = jnp.zeros(spec.n_classes + spec.code)
        return {
            "private": critic.init(k1, jnp.zeros(spec.shape), label),
            "public": generator.init(k2, jnp.zeros(config.latent), label),
        }

    def draw(public, key, of):
        """One fake and what it is made from: `of`, or where there are no codes a class of the uniform prior."""
        k_label, k_z = jax.random.split(key)
        if not spec.code:
            of = condition(spec, jax.random.randint(k_label, (), 0, spec.n_classes))
        return generator.apply(public, jax.random.normal(k_z, (config.latent,)), of), of

    def loss(private, public, example, step, key):
        del step
        real = condition(spec, example.label, example.code)
        fake, fakes = draw(public, key, real)
        real_logit, slope = jax.value_and_grad(critic.apply, 1)(private, example.image, real)
        fake_logit = critic.apply(private, fake, fakes)
        penalty = jnp.sum(jnp.square(slope)) if config.penalty else 0.0
        value = jax.nn.softplus(-real_logit) + jax.nn.softplus(fake_logit)
        return value + 0.5 * config.penalty * penalty, {"real": real_logit, "fake": fake_logit}

    def public_loss(public, private, key, draws=()):
        """Non-saturating loss of a batch of fakes, and how far those of a draw's code are from that draw."""
        count = config.generator_batch

        def one(key, of=None):
            fake, of = draw(public, key, of)
            return jax.nn.softplus(-critic.apply(private, fake, of)), fake

        if not spec.code:
            return jnp.mean(jax.vmap(one)(jax.random.split(key, count))[0])
        key, k_rows = jax.random.split(key)
        key, k_shift = jax.random.split(key) if config.spectrum else (key, None)
        rows = jax.random.randint(k_rows, (count,), 0, len(draws.label))
        some = jax.tree.map(lambda x: x[rows], draws)
        of = conditions(spec, some.label, some.code)
        losses, fakes = jax.vmap(one)(jax.random.split(key, count), of)
        images = some.image.astype(jnp.float32) / 255.0
        error = config.reconstruction * jnp.mean(jnp.abs(fakes - images))
        if k_shift is not None:
            shift = jax.random.randint(k_shift, (2,), 0, jnp.array(spec.shape[:2]))
            apart = _log_spectra(fakes, shift) - _log_spectra(images, shift)
            error += config.spectrum * jnp.mean(jnp.abs(apart))
        return jnp.mean(losses) + error

    def sample(params, key, labels, codes=()):
        z = jax.random.normal(key, (len(labels), config.latent))
        of = conditions(spec, labels, codes)
        return jax.vmap(generator.apply, (None, 0, 0))(params["public"], z, of)

    def scores(params, example, key):
        """The critic's logit, and minus the squared error of the best image found in the generator.

        gan_leaks: the white-box attack of GAN-Leaks (arXiv:1909.03935), -min over z of |G(z, y) - x|^2: of 64
        draws the two nearest are improved by 20 steps of Adam in z. (200 steps, or a penalty on z, found no
        more members.) Deterministic: the draws are the same for all examples.
        """
        del key
        public, of = params["public"], condition(spec, example.label, example.code)
        draws = jax.random.normal(jax.random.key(0), (64, config.latent))

        def error(z):
            return jnp.sum(jnp.square(generator.apply(public, z, of) - example.image))

        adam = optax.adam(0.1, b2=0.99)

        def step(state, _):
            z, moments = state
            updates, moments = adam.update(jax.grad(error)(z), moments)
            return (z + updates, moments), None

        def improved(z):
            (z, _), _ = jax.lax.scan(step, (z, adam.init(z)), length=20)
            return error(z)

        # Few at once: all examples are scored together.
        errors = jax.lax.map(error, draws, batch_size=4)
        nearest = draws[jnp.argsort(errors)[:2]]
        return {
            "critic": critic.apply(params["private"], example.image, of),
            "gan_leaks": -jnp.min(jax.vmap(improved)(nearest)),
        }

    return Model(init, loss, public_loss, sample, scores)


def _log_spectra(images, shift):
    """log |F|^2 / 2 of images [n, H, W, C] under a window, after they were rolled; mean over channels.

    As in fpu/priors/spectrum.py. With the window at one place always, a speck there would stand for all texture.
    """
    window = jnp.asarray(frequencies.window(*images.shape[1:3]), jnp.float32)
    rolled = jnp.roll(jnp.mean(images, -1), shift, (1, 2))
    waves = jnp.fft.rfft2(rolled * window[None])
    return 0.5 * jnp.log(jnp.square(waves.real) + jnp.square(waves.imag) + 0.05**2)


class _MixerGenerator(linen.Module):
    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, z, label):
        c, shape = self.config, self.spec.shape
        patch = layers.patch_side(c.patch, shape)
        h, w = layers.token_grid(shape, patch)
        z = jnp.concatenate([z, label])
        condition = linen.gelu(linen.Dense(c.width)(z))
        x = linen.Dense(h * w * c.width)(z).reshape(h * w, c.width)
        x = layers.Mixer(c.depth, c.width, 2 * c.width)(x, condition)
        # A tenth of the usual variance: fresh draws are near grey, not noise to be unlearned first (from
        # 0 the modes collapse).
        small = linen.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        x = linen.Dense(patch**2 * shape[2], kernel_init=small)(x)
        return jax.nn.sigmoid(layers.unpatchify(x, shape, patch))


class _MixerCritic(linen.Module):
    """A projection critic (arXiv:1802.05637)."""

    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, image, label):
        x = layers.mixed(self.config, image, linen.Dense(self.config.width)(label))
        return linen.Dense(1)(x)[0] + jnp.dot(linen.Dense(len(x), use_bias=False)(label), x)


class _ConvGenerator(linen.Module):
    """The paper's: FC, then two upsamplings with convolutions."""

    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, z, label):
        h, w = layers.token_grid(self.spec.shape, 4)
        x = linen.Dense(h * w * 128)(jnp.concatenate([z, label])).reshape(h, w, 128)
        for features in (128, 64):
            x = layers.Conv(features)(layers.upsample(layers.GroupNorm(32)(x)))
            x = linen.leaky_relu(x, 0.2)
        x = layers.crop(layers.Conv(self.spec.shape[2])(layers.GroupNorm(32)(x)), self.spec.shape)
        return jax.nn.sigmoid(x)


class _ConvCritic(linen.Module):
    """The paper's, without its dropout (a per-example network needs no second source of noise)."""

    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, image, label):
        x = layers.with_label(image, label)
        for features, strides in ((64, 2), (128, 2), (256, 2), (512, 1)):
            x = layers.Conv(features, strides=strides)(x)
            x = linen.leaky_relu(layers.GroupNorm(32)(x), 0.2)
        return linen.Dense(1)(jnp.mean(x, axis=(0, 1)))[0]
