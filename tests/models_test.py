"""The contract of fpu/models/__init__.py for every model and size, and the formulas of each family."""

import dataclasses
import inspect

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu import models
from fpu.models import Example, Spec, ddpm

pytestmark = pytest.mark.usefixtures("quick_compiles")


def example(shape, label=1):
    pixels = np.random.default_rng(1).random(shape, np.float32)
    return Example(jnp.asarray(pixels), jnp.int32(label))


@pytest.mark.parametrize(
    ("size", "shape"),
    [("tiny", (8, 8, 1)), ("default", (28, 28, 1)), ("default", (9, 14, 3)), ("paper", (9, 14, 3))],
)
@pytest.mark.parametrize("name", models.MODELS)
def test_every_size_keeps_the_contract_on_every_shape(name, size, shape):
    """Shapes only: nothing is compiled."""
    module = models.load(name)
    model = module.make(module.SIZES[size], Spec(shape, 5))
    key, one = jax.random.key(0), example(shape)
    params = jax.eval_shape(model.init, key)
    assert set(params) == {"private", "public"}
    assert bool(jax.tree.leaves(params["public"])) == (model.public_loss is not None)
    loss, _ = jax.eval_shape(model.loss, params["private"], params["public"], one, 0, key)
    assert (loss.shape, loss.dtype) == ((), jnp.float32)
    images = jax.eval_shape(model.sample, params, key, jnp.zeros(3, jnp.int32))
    assert (images.shape, images.dtype) == ((3, *shape), jnp.float32)
    scores = jax.eval_shape(model.scores, params, one, key)
    assert scores
    assert all(s.shape == () for s in scores.values())
    if model.public_loss is not None:
        assert (
            jax.eval_shape(model.public_loss, params["public"], params["private"], key).shape == ()
        )


@pytest.mark.parametrize("name", models.MODELS)
def test_only_loss_and_scores_see_an_example(name):
    model = tiny.model(name)
    for part, sees in (("loss", True), ("scores", True), ("sample", False), ("public_loss", False)):
        if getattr(model, part) is not None:
            names = inspect.signature(getattr(model, part)).parameters
            assert ("example" in names) == sees


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="'vea'"):
        models.load("vea")


@pytest.mark.parametrize("name", models.MODELS)
def test_samples_are_images_that_follow_key_and_label(name):
    params = tiny.start(name).params
    # The last layer of the DDPM starts at 0: give every network something to say.
    params = jax.tree.map(lambda x: x + 0.1 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), params)
    draw = tiny.draw(name)
    labels = jnp.array([0, 1, 2])
    one, two, same = (draw(params, jax.random.key(k), labels) for k in (0, 1, 0))
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1
    np.testing.assert_array_equal(one, same)
    assert float(jnp.abs(one - two).max()) > 1e-3
    other = draw(params, jax.random.key(0), labels[::-1])
    assert float(jnp.abs(one - other)[0].max()) > 1e-5
    np.testing.assert_array_equal(one[1], other[1])


def test_the_loss_of_a_vae_is_its_elbo_and_beta_may_warm_up():
    module = models.load("vae")
    config = dataclasses.replace(
        module.SIZES["tiny"], width=8, depth=1, latent=4, beta=2.0, warmup_steps=4
    )
    model = module.make(config, tiny.SPEC)
    params = jax.jit(model.init)(jax.random.key(0))
    loss = jax.jit(model.loss)
    for step, beta in ((0, 0.5), (3, 2.0), (50, 2.0)):
        value, parts = loss(params["private"], {}, example((8, 8, 1)), step, jax.random.key(1))
        assert float(parts["kl"]) > 0
        want = 64 * parts["reconstruction"] + beta * parts["kl"]
        assert float(value) == pytest.approx(float(want), rel=1e-5)


def test_the_critic_pays_for_its_slope_on_the_real_example():
    model, params, one = tiny.model("gan"), tiny.start("gan").params, example((8, 8, 1))

    @jax.jit
    def both(key):
        def score(image):
            return model.scores(params, one._replace(image=image), key)["critic"]

        slope = jax.grad(score)(one.image)
        value, parts = model.loss(params["private"], params["public"], one, 0, key)
        return value, parts, jnp.sum(jnp.square(slope))

    value, parts, slope = both(jax.random.key(1))
    plain = jax.nn.softplus(-parts["real"]) + jax.nn.softplus(parts["fake"])
    assert float(slope) > 1e-4
    assert float(value - plain) == pytest.approx(0.5 * float(slope), rel=1e-3)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_signal_fades_from_all_to_almost_none(schedule):
    bars = ddpm.alpha_bar(dataclasses.replace(ddpm.SIZES["tiny"], schedule=schedule))
    assert len(bars) == 401
    assert bars[0] == pytest.approx(1)
    assert 0 <= bars[-1] < 0.05
    assert (np.diff(bars) < 0).all()


@pytest.mark.parametrize(
    ("prediction", "sampler", "guidance"),
    [("v", "ddim", 0.0), ("v", "ancestral", 1.5), ("noise", "ddim", 2.0)],
)
def test_a_perfect_denoiser_leads_every_sampler_to_the_image(
    monkeypatch, prediction, sampler, guidance
):
    """If all data are one image, the best answer is known, and from any noise the image comes out."""
    config = ddpm.Config(
        prediction=prediction,
        sampler=sampler,
        guidance=guidance,
        diffusion_steps=40,
        sampling_steps=10,
    )
    image = np.random.default_rng(0).uniform(-0.9, 0.9, (8, 8, 1)).astype(np.float32)
    bars = np.clip(ddpm.alpha_bar(config), 1e-5, 1.0)
    signal, level = jnp.sqrt(bars), jnp.sqrt(1 - bars)

    class Perfect(linen.Module):
        config: ddpm.Config
        spec: Spec

        def __call__(self, x, t, label):
            at = jnp.round(t * config.diffusion_steps).astype(jnp.int32)
            a, s = signal[at], level[at]
            noise = (x - a * image) / s
            return a * noise - s * image if prediction == "v" else noise

    monkeypatch.setattr(ddpm, "_Mixer", Perfect)
    model = ddpm.make(config, tiny.SPEC)
    params = {"private": {}, "public": {}}
    drawn = jax.jit(model.sample)(params, jax.random.key(0), jnp.zeros(3, jnp.int32))
    np.testing.assert_allclose(drawn, np.stack([(image + 1) / 2] * 3), atol=2e-3)
    known = Example(jnp.asarray((image + 1) / 2), jnp.int32(0))
    loss, _ = model.loss({}, {}, known, 0, jax.random.key(1))
    assert float(loss) < 1e-4
