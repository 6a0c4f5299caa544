"""Class-conditional denoising diffusion (arXiv:2006.11239) with v-prediction and noise multiplicity."""

import dataclasses
from typing import Annotated

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from fpu.models import Defaults, Model, Spec, condition, conditions, layers
from fpu.models._unet import UNet


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, the diffusion, and how it is sampled."""

    # A mixer (dense or patches; cheap on a CPU) or unet.
    net: Annotated[str, ("mixer", "unet")] = "mixer"
    # Side of the mixer's patches; 0 = the whole image is one: a dense network.
    patch: Annotated[int, (0, 64)] = 0
    width: Annotated[int, (1, 2048)] = 96
    depth: Annotated[int, (1, 32)] = 4
    diffusion_steps: Annotated[int, (12, 10_000)] = 400
    # Cosine (arXiv:2102.09672) or linear (arXiv:2006.11239).
    schedule: Annotated[str, ("cosine", "linear")] = "cosine"
    # V (arXiv:2202.00512), image or noise.
    prediction: Annotated[str, ("v", "image", "noise")] = "v"
    # Draws of (t, noise) averaged in an example's loss (arXiv:2210.09929).
    multiplicity: Annotated[int, (1, 1024)] = 8
    # For classifier-free guidance (arXiv:2207.12598).
    label_dropout: Annotated[float, (0.0, 1.0)] = 0.1
    guidance: Annotated[float, (0.0, 100.0)] = 0.0  # w: (1 + w) conditional - w unconditional
    sampler: Annotated[str, ("ddim", "ancestral")] = "ddim"  # ddim (arXiv:2010.02502) or ancestral
    sampling_steps: Annotated[int, (1, "diffusion_steps")] = 50


SIZES = {
    "tiny": Config(width=128, depth=3, multiplicity=4),
    # A dense network narrower than the image cannot carry the noise that v contains: it predicts the image.
    "default": Config(width=256, depth=3, multiplicity=4, prediction="image"),
    "paper": Config(
        net="unet",
        width=128,
        schedule="linear",
        prediction="noise",
        multiplicity=1,
        guidance=2.0,
        sampler="ancestral",
        sampling_steps=400,
    ),
}

DEFAULTS = Defaults(draw_steps=2500)  # its steps take longest


def alpha_bar(config: Config) -> np.ndarray:
    """Signal's share of the variance after t = 0 .. diffusion_steps steps; float64 [steps + 1]."""
    steps = config.diffusion_steps
    if config.schedule == "cosine":
        t = np.arange(steps + 1) / steps
        return np.cos(np.pi / 2 * (t + 0.008) / 1.008) ** 2 / np.cos(np.pi / 2 * 0.008 / 1.008) ** 2
    return np.concatenate([[1.0], np.cumprod(1.0 - np.linspace(1e-4, 0.02, steps))])


def make(config: Config, spec: Spec) -> Model:
    """The diffusion model of this size for these images. Inside, images lie in [-1, 1]."""
    net = {"mixer": _Mixer, "unet": _UNet}[config.net](config, spec)
    bars = jnp.asarray(np.clip(alpha_bar(config), 1e-5, 1.0), jnp.float32)
    signal, noise_level = jnp.sqrt(bars), jnp.sqrt(1.0 - bars)

    def init(key):
        label = jnp.zeros(spec.n_classes + spec.code)
        return {"private": net.init(key, jnp.zeros(spec.shape), jnp.zeros(()), label), "public": {}}

    def predict(private, x, t, label):
        """The network's estimate of (x0, noise) in x at step t."""
        out = net.apply(private, x, t / config.diffusion_steps, label)
        a, s = signal[t], noise_level[t]
        if config.prediction == "v":
            return a * x - s * out, s * x + a * out
        if config.prediction == "image":
            return out, (x - a * out) / s
        return (x - s * out) / a, out

    def denoising_error(private, image, label, t, noise):
        """Squared error of the network's own target, summed over pixels.

        The error of the image is weighed by 1 / sigma^2, at most 10: that of v.
        """
        a, s = signal[t], noise_level[t]
        targets = {"v": a * noise - s * image, "image": image, "noise": noise}
        out = net.apply(private, a * image + s * noise, t / config.diffusion_steps, label)
        error = jnp.sum(jnp.square(out - targets[config.prediction]))
        return error / jnp.maximum(jnp.square(s), 0.1) if config.prediction == "image" else error

    def loss(private, public, example, step, key):
        del public, step
        k_time, k_noise, k_drop = jax.random.split(key, 3)
        count, steps = config.multiplicity, config.diffusion_steps
        # Stratified times: one draw in each of K equal parts of 1..steps.
        u = (jnp.arange(count) + jax.random.uniform(k_time, (count,))) / count
        times = jnp.clip(jnp.ceil(u * steps).astype(jnp.int32), 1, steps)
        noises = jax.random.normal(k_noise, (count, *spec.shape))
        keep = jax.random.bernoulli(k_drop, 1.0 - config.label_dropout, (count, 1))
        labels = keep * condition(spec, example.label, example.code)[None]
        image = 2 * example.image - 1
        errors = jax.vmap(lambda t, e, y: denoising_error(private, image, y, t, e))(
            times, noises, labels
        )
        return jnp.mean(errors), {}

    def sample(params, key, labels, codes=()):
        private = params["private"]
        ends = np.linspace(config.diffusion_steps, 0, config.sampling_steps + 1)
        ends = ends.round().astype(np.int32)
        eta = {"ddim": 0.0, "ancestral": 1.0}[config.sampler]
        given = conditions(spec, labels, codes)

        def guided(x, t, label):
            x0, noise = predict(private, x, t, label)
            if config.guidance:
                _, free = predict(private, x, t, jnp.zeros_like(label))
                noise = (1 + config.guidance) * noise - config.guidance * free
                x0 = (x - noise_level[t] * noise) / signal[t]
            x0 = jnp.clip(x0, -1.0, 1.0)
            return x0, (x - signal[t] * x0) / noise_level[t]

        def step(x, inputs):
            t, s, k = inputs  # from step t to the earlier step s
            x0, noise = jax.vmap(guided, (0, None, 0))(x, t, given)
            # arXiv:2010.02502 eq. 12 and 16: eta = 1 is the ancestral sampler.
            sigma = eta * noise_level[s] / noise_level[t]
            sigma = sigma * jnp.sqrt(jnp.maximum(1.0 - bars[t] / bars[s], 0.0))
            rest = jnp.sqrt(jnp.maximum(jnp.square(noise_level[s]) - jnp.square(sigma), 0.0))
            return signal[s] * x0 + rest * noise + sigma * jax.random.normal(k, x.shape), None

        k_start, k_steps = jax.random.split(key)
        x = jax.random.normal(k_start, (len(labels), *spec.shape))
        keys = jax.random.split(k_steps, config.sampling_steps)
        x, _ = jax.lax.scan(step, x, (jnp.asarray(ends[:-1]), jnp.asarray(ends[1:]), keys))
        return jnp.clip((x + 1) / 2, 0.0, 1.0)

    def scores(params, example, key):
        """Minus errors that are low for members. T is the number of steps, e(x, t) the estimated noise in x.

        loss: denoising error (arXiv:2301.09956), the mean over 16 steps from 1 to T/2 with a noise each.
        The others draw no noise; a and s are the signal and the noise level at t = T/20:
        sima: |e(a x, t)|^2, the noise estimated where there is none (arXiv:2509.25003).
        pia: |e1 - e(a x + s e1, t)|^2, e1 = e(x, 1), the proximal initialisation of arXiv:2305.18355 (there
          in the 4-norm at T/5).
        secmi: |back(on(x')) - x'|^2, where `on` and `back` are steps of T/100 of the deterministic sampler, and
          ten of them lead from x to x' (the t-error of arXiv:2302.01316).
        Measured: sima is never much worse than the best. pia and secmi find members of U-Nets. Small dense networks
        that memorise a few images make equal errors twice on other images, and there members have the larger error.
        """
        private, steps = params["private"], config.diffusion_steps
        label = condition(spec, example.label, example.code)
        image, early = 2 * example.image - 1, max(1, steps // 20)
        times = jnp.linspace(1, steps // 2, 16).astype(jnp.int32)
        noises = jax.random.normal(key, (16, *spec.shape))
        errors = jax.vmap(lambda t, e: denoising_error(private, image, label, t, e))(times, noises)

        def noise_in(x, t):
            return predict(private, x, t, label)[1]

        first = noise_in(image, 1)
        second = noise_in(signal[early] * image + noise_level[early] * first, early)
        return {
            "loss": -jnp.mean(errors),
            "sima": -jnp.sum(jnp.square(noise_in(signal[early] * image, early))),
            "pia": -jnp.sum(jnp.square(first - second)),
            "secmi": -step_error(private, image, label),
        }

    def step_error(private, image, label):
        """SecMI's t-error of one image, see `scores`."""
        size = max(1, config.diffusion_steps // 100)
        end = 10 * size

        def move(x, t, s):
            x0, noise = predict(private, x, jnp.maximum(t, 1), label)  # t = 0 is not trained
            return signal[s] * x0 + noise_level[s] * noise

        def up(x, t):
            return move(x, t, t + size), None

        x, _ = jax.lax.scan(up, image, jnp.arange(0, end, size))
        return jnp.sum(jnp.square(move(move(x, end, end + size), end + size, end) - x))

    return Model(init, loss, None, sample, scores)


class _Mixer(linen.Module):
    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, x, t, label):
        c = self.config
        patch = layers.patch_side(c.patch, self.spec.shape)
        condition = linen.Dense(c.width)(layers.time_embedding(t, 32)) + linen.Dense(c.width)(label)
        condition = linen.gelu(condition)
        tokens = linen.Dense(c.width)(layers.patchify(x, patch))
        tokens = layers.Mixer(c.depth, c.width, 2 * c.width)(tokens, condition)
        out = linen.Dense(patch**2 * self.spec.shape[2], kernel_init=linen.initializers.zeros)
        return layers.unpatchify(out(tokens), self.spec.shape, patch)


class _UNet(linen.Module):
    config: Config
    spec: Spec

    @linen.compact
    def __call__(self, x, t, label):
        return UNet(self.config.width)(x, layers.time_embedding(t, 64), label)
