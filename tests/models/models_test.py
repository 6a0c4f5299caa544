"""The contract of fpu/models/__init__.py for every model and size, and the formulas of each family."""

import dataclasses
import inspect

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from fpu import models
from fpu.models import Example, Spec, ddpm
from fpu.privacy import attacks


def example(shape, label=1):
    pixels = np.random.default_rng(1).random(shape, np.float32)
    return Example(jnp.asarray(pixels), jnp.int32(label))


@pytest.mark.parametrize(
    ("size", "shape"), [("tiny", (9, 14, 3)), ("default", (28, 28, 1)), ("paper", (9, 14, 3))]
)
@pytest.mark.parametrize("name", models.MODELS)
def test_every_size_keeps_the_contract_on_every_shape(name, size, shape):
    module = models.load(name)
    keeps_the_contract(module.make(module.SIZES[size], Spec(shape, 5)), shape)
    keeps_the_contract(module.make(module.SIZES[size], Spec(shape, 5, code=4)), shape, 4)


def keeps_the_contract(model, shape, code=0):
    """Shapes only: nothing is compiled."""
    key, codes = jax.random.key(0), jnp.zeros((3, code)) if code else ()
    one = example(shape)._replace(code=codes[0] if code else ())
    params = jax.eval_shape(model.init, key)
    assert set(params) == {"private", "public"}
    assert bool(jax.tree.leaves(params["public"])) == (model.public_loss is not None)
    loss, _ = jax.eval_shape(model.loss, params["private"], params["public"], one, 0, key)
    assert (loss.shape, loss.dtype) == ((), jnp.float32)
    images = jax.eval_shape(model.sample, params, key, jnp.zeros(3, jnp.int32), codes)
    assert (images.shape, images.dtype) == ((3, *shape), jnp.float32)
    scores = jax.eval_shape(model.scores, params, one, key)
    assert scores
    assert all(s.shape == () for s in scores.values())
    if model.public_loss is not None:
        images = jnp.zeros((3, *shape), jnp.uint8)
        draws = models.Draws(images, jnp.arange(3), codes) if code else ()
        value = jax.eval_shape(model.public_loss, params["public"], params["private"], key, draws)
        assert value.shape == ()


@pytest.mark.parametrize("name", models.MODELS)
def test_the_smallest_of_every_size_keeps_the_contract(name):
    module = models.load(name)
    limits = models.limits(module.Config)
    least = {field: limit[0] for field, limit in limits.items() if field not in ("net", "patch")}
    for net in limits["net"]:
        more = {"sampling_steps": 1} if name == "ddpm" else {}
        config = module.Config(net=net, patch=3, **least | more)
        keeps_the_contract(module.make(config, Spec((8, 9, 1), 2)), (8, 9, 1))


def _taught(images, steps=200, **config):
    """What a generator makes of the codes of two draws, float [2, 8, 8, 1]; its critic is of zeros and says nothing."""
    gan, spec = models.load("gan"), Spec((8, 8, 1), 2, code=1)
    model = gan.make(gan.Config(width=8, depth=1, latent=2, generator_batch=8, **config), spec)
    draws = models.Draws(images, jnp.zeros(2, jnp.int32), jnp.array([[-1.0], [1.0]]))
    params = model.init(jax.random.key(0))
    critic, adam = jax.tree.map(jnp.zeros_like, params["private"]), optax.adam(1e-2)

    @jax.jit
    def learned(public):
        def step(state, key):
            grads = jax.grad(model.public_loss)(state[0], critic, key, draws)
            updates, moments = adam.update(grads, state[1])
            return (optax.apply_updates(state[0], updates), moments), None

        keys = jax.random.split(jax.random.key(1), steps)
        return jax.lax.scan(step, (public, adam.init(public)), keys)[0][0]

    params = {"private": critic, "public": learned(params["public"])}
    return np.asarray(model.sample(params, jax.random.key(2), draws.label, draws.code))


def test_a_generator_learns_from_each_code_the_draw_that_has_it_whatever_the_critic_says():
    """Two draws of one class: one is 1/5 everywhere, one is 4/5."""
    pixels = jnp.array([51, 204], jnp.uint8)[:, None, None, None]
    made = _taught(jnp.broadcast_to(pixels, (2, 8, 8, 1)))
    np.testing.assert_allclose(made.mean((1, 2, 3)), [0.2, 0.8], atol=0.05)


def test_a_generator_learns_the_spectrum_of_each_draw_wherever_its_waves_are():
    """Waves of two pixels and of four, seen at every place; the weight of the pixels is 0."""
    waves = jnp.stack([128 + 100 * jnp.cos(jnp.arange(8) * jnp.pi / half) for half in (1, 2)])
    images = jnp.broadcast_to(waves[:, None, :, None], (2, 8, 8, 1)).astype(jnp.uint8)

    def spectra(images):
        shifts = [jnp.array([i, j]) for i in (0, 3, 5) for j in (0, 2, 7)]
        return np.stack([models.load("gan")._log_spectra(images, shift) for shift in shifts])

    wanted = spectra(images / 255.0)
    before, after = (
        np.abs(spectra(_taught(images, steps, reconstruction=0.0, spectrum=1.0)) - wanted).mean()
        for steps in (1, 400)
    )
    assert after < 0.6 * before, (before, after)


@pytest.mark.parametrize("name", models.MODELS)
def test_only_loss_and_scores_see_an_example(name):
    model = tiny.model(name)
    for part, sees in (("loss", True), ("scores", True), ("sample", False), ("public_loss", False)):
        if getattr(model, part) is not None:
            assert ("example" in inspect.signature(getattr(model, part)).parameters) == sees


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="'vea'"):
        models.load("vea")


@pytest.mark.parametrize("name", models.MODELS)
def test_samples_are_images_that_follow_key_and_label(name):
    params, draw = tiny.params(name), tiny.draw(name)
    labels = jnp.array([0, 1, 2])
    one, two, same = (draw(params, jax.random.key(k), labels) for k in (0, 1, 0))
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1
    np.testing.assert_array_equal(one, same)
    assert float(jnp.abs(one - two).max()) > 1e-3
    other = draw(params, jax.random.key(0), labels[::-1])
    assert float(jnp.abs(one - other)[0].max()) > 1e-5
    np.testing.assert_array_equal(one[1], other[1])


def test_the_loss_of_a_vae_is_its_elbo_and_beta_may_grow():
    config = dataclasses.replace(tiny.smallest("vae"), beta=2.0, beta_steps=4)
    params, loss = tiny.params("vae"), jax.jit(models.load("vae").make(config, tiny.SPEC).loss)
    for step, beta in ((0, 0.5), (3, 2.0), (50, 2.0)):
        value, parts = loss(params["private"], {}, example((8, 8, 1)), step, jax.random.key(1))
        assert float(parts["kl"]) > 0
        want = 64 * parts["reconstruction"] + beta * parts["kl"]
        assert float(value) == pytest.approx(float(want), rel=1e-5)


def test_the_critic_pays_for_its_slope_on_the_real_example():
    model, params, one = tiny.model("gan"), tiny.params("gan"), example((8, 8, 1))

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
    assert (len(bars), bars[0]) == (401, pytest.approx(1))
    assert 0 <= bars[-1] < 0.05
    assert (np.diff(bars) < 0).all()


class Knows(linen.Module):
    """The best answer of a DDPM if all data are one image, in [-1, 1]."""

    config: ddpm.Config
    image: np.ndarray

    def __call__(self, x, t, label):
        bars = jnp.asarray(np.clip(ddpm.alpha_bar(self.config), 1e-5, 1.0), jnp.float32)
        bar = bars[jnp.round(t * self.config.diffusion_steps).astype(jnp.int32)]
        a, s = jnp.sqrt(bar), jnp.sqrt(1 - bar)
        noise = (x - a * self.image) / s
        v = a * noise - s * self.image
        return {"v": v, "noise": noise, "image": self.image}[self.config.prediction]


@pytest.mark.parametrize(
    ("prediction", "sampler", "guidance"),
    [("v", "ddim", 0.0), ("v", "ancestral", 1.5), ("noise", "ddim", 2.0)],
)
def test_a_perfect_denoiser_leads_to_the_image(monkeypatch, prediction, sampler, guidance):
    """If all data are one image, the best answer is known, and from any noise the image comes out."""
    given = {"prediction": prediction, "sampler": sampler, "guidance": guidance}
    config = ddpm.Config(diffusion_steps=40, sampling_steps=10, **given)
    image = np.random.default_rng(0).uniform(-0.9, 0.9, (8, 8, 1)).astype(np.float32)
    monkeypatch.setattr(ddpm, "_Mixer", lambda config, spec: Knows(config, image))
    model = ddpm.make(config, tiny.SPEC)
    params = {"private": {}, "public": {}}
    drawn = jax.jit(model.sample)(params, jax.random.key(0), jnp.zeros(3, jnp.int32))
    np.testing.assert_allclose(drawn, np.stack([(image + 1) / 2] * 3), atol=2e-3)
    known = Example(jnp.asarray((image + 1) / 2), jnp.int32(0))
    loss, _ = model.loss({}, {}, known, 0, jax.random.key(1))
    assert float(loss) < 1e-4


@pytest.mark.parametrize("prediction", ["v", "noise", "image"])
def test_the_scores_of_a_ddpm_that_knows_one_image(monkeypatch, prediction):
    """Its errors have closed forms, and what it knows has none."""
    config = ddpm.Config(prediction=prediction)
    known, other = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 8, 8, 1)).astype(np.float32)
    monkeypatch.setattr(ddpm, "_Mixer", lambda config, spec: Knows(config, known))
    scores = jax.jit(ddpm.make(config, tiny.SPEC).scores)
    params = {"private": {}, "public": {}}
    images = (Example(jnp.asarray((x + 1) / 2), jnp.int32(0)) for x in (known, other))
    mine, theirs = (scores(params, x, jax.random.key(k)) for k, x in enumerate(images))
    bars = np.clip(ddpm.alpha_bar(config), 1e-5, 1 - 1e-9)
    times = np.linspace(1, 200, 16).astype(int)
    # In v the error is the distance over sigma; in the noise, times the signal; the image's is capped.
    weights = {"v": 1 / (1 - bars), "noise": bars / (1 - bars)}
    weights["image"] = 1 / np.maximum(1 - bars, 0.1)
    squared, weight = np.square(other - known).sum(), weights[prediction]
    assert float(theirs["loss"]) == pytest.approx(-squared * weight[times].mean(), rel=2e-3)
    assert float(theirs["sima"]) == pytest.approx(-squared * bars[20] / (1 - bars[20]), rel=2e-3)
    for name, scale in (("loss", weight[times].mean()), ("sima", 1e2), ("pia", 1e4)):
        assert -1e-6 * squared * scale <= float(mine[name]) <= 0


@pytest.mark.parametrize("prediction", ["v", "noise", "image"])
def test_the_deterministic_scores_of_a_linear_ddpm(monkeypatch, prediction):
    """A network c x makes every step a multiplication, whatever c x is taken for."""
    c, config = 0.7, ddpm.Config(prediction=prediction)

    class Linear(linen.Module):
        config: ddpm.Config
        spec: Spec

        def __call__(self, x, t, label):
            return c * x

    monkeypatch.setattr(ddpm, "_Mixer", Linear)
    one = example((8, 8, 1))
    scores = jax.jit(ddpm.make(config, tiny.SPEC).scores)
    found, again = (scores({"private": {}}, one, jax.random.key(k)) for k in (0, 1))
    assert float(found["loss"]) != float(again["loss"])
    bars = np.clip(ddpm.alpha_bar(config), 1e-5, 1.0)
    a, s = np.sqrt(bars), np.sqrt(1 - bars)
    image, noise = {
        "v": (a - s * c, s + a * c),
        "noise": ((1 - s * c) / a, np.full(401, c)),
        "image": (np.full(401, c), (1 - a * c) / np.maximum(s, 1e-9)),
    }[prediction]  # what is seen in x at each step, over x
    squared = np.square(2 * np.asarray(one.image, np.float64) - 1).sum()

    def move(now, then):
        return a[then] * image[max(now, 1)] + s[then] * noise[max(now, 1)]

    e1 = noise[1]
    pia = e1 - noise[20] * (a[20] + s[20] * e1)
    secmi = np.prod([move(t, t + 4) for t in range(0, 40, 4)]) * (move(40, 44) * move(44, 40) - 1)
    for name, factor in (("sima", a[20] * noise[20]), ("pia", pia), ("secmi", secmi)):
        assert float(found[name]) == float(again[name])  # no noise in it
        assert float(found[name]) == pytest.approx(-(factor**2) * squared, rel=1e-2)


def test_gan_leaks_finds_the_nearest_image_that_a_linear_generator_makes(monkeypatch):
    gan = models.load("gan")
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 4)))[0].astype(np.float32)

    class Plane(linen.Module):
        config: gan.Config
        spec: Spec

        def __call__(self, z, label):
            return (axes @ z).reshape(8, 8, 1) + label[2]  # class 2 is another plane

    monkeypatch.setattr(gan, "_MixerGenerator", Plane)
    model = gan.make(tiny.smallest("gan"), tiny.SPEC)
    params = {"private": tiny.params("gan")["private"], "public": {}}
    score = jax.jit(model.scores)
    rng = np.random.default_rng(1)
    off = rng.normal(size=64)
    off -= axes @ (axes.T @ off)
    for size, label in ((0.0, 1), (1.5, 1), (1.5, 2)):
        image = axes @ rng.normal(size=4) + size * off / np.linalg.norm(off) + (label == 2)
        one = Example(jnp.asarray(image.reshape(8, 8, 1), jnp.float32), jnp.int32(label))
        found, again = (float(score(params, one, jax.random.key(k))["gan_leaks"]) for k in (0, 1))
        assert found == again
        assert -(size**2) - 0.1 < found <= -(size**2) + 1e-4


def test_the_scores_of_a_vae_are_its_error_and_its_loss():
    model, params, one = tiny.model("vae"), tiny.params("vae"), example((8, 8, 1))
    score = jax.jit(model.scores)
    found = [score(params, one, jax.random.key(k)) for k in range(20)]
    assert len({float(f["reconstruction"]) for f in found}) == 1
    grey = score(jax.tree.map(jnp.zeros_like, params), one, jax.random.key(0))["reconstruction"]
    assert float(grey) == pytest.approx(-np.square(np.asarray(one.image) - 0.5).sum(), rel=1e-5)
    keys = jax.random.split(jax.random.key(99), 400)
    losses, _ = jax.jit(jax.vmap(lambda k: model.loss(params["private"], {}, one, 0, k)))(keys)
    elbos, spread = [float(f["elbo"]) for f in found], float(losses.std())
    error = spread * np.sqrt(1 / 400 + 1 / (20 * 8))
    assert np.mean(elbos) == pytest.approx(-float(losses.mean()), abs=4 * error)
    assert np.std(elbos) < 0.6 * spread


def overfitted(model, examples, steps):
    """Parameters after Adam without noise on a few examples."""
    adam = optax.adam(3e-3, b1=0.5)

    def train(params):
        def step(state, key):
            params, moments = state
            k1, k2 = jax.random.split(key)

            def private(part):
                keys = jax.random.split(k1, len(examples.label))
                each = jax.vmap(lambda e, k: model.loss(part, params["public"], e, 0, k))
                losses, _ = each(examples, keys)
                return losses.mean()

            grads = {"private": jax.grad(private)(params["private"]), "public": params["public"]}
            if model.public_loss is not None:
                grads["public"] = jax.grad(model.public_loss)(
                    params["public"], params["private"], k2
                )
            updates, moments = adam.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), None

        keys = jax.random.split(jax.random.key(3), steps)
        return jax.lax.scan(step, (params, adam.init(params)), keys)[0][0]

    return jax.jit(train)(jax.jit(model.init)(jax.random.key(2)))


@pytest.mark.parametrize("name", models.MODELS)
def test_scores_find_the_members_of_an_overfitted_model_and_nobody_else(name):
    module = models.load(name)
    model = module.make(dataclasses.replace(module.SIZES["tiny"], width=64, depth=1), tiny.SPEC)
    # Smooth images: each its own, but alike enough to be learned in common.
    waves = np.cos(np.pi * np.outer(np.arange(4), np.arange(8) + 0.5) / 8)
    weights = np.random.default_rng(0).normal(0, 0.5, (160, 4, 4))
    images = 1 / (1 + np.exp(-np.einsum("nij,ih,jw->nhw", weights, waves, waves)))[..., None]
    examples = Example(jnp.asarray(images, jnp.float32), jnp.arange(160) % 3)
    params = overfitted(model, jax.tree.map(lambda x: x[:40], examples), 300)
    keys = jax.random.split(jax.random.key(4), 160)
    found = jax.jit(jax.vmap(model.scores, (None, 0, 0)))(params, examples, keys)
    for kind, scores in found.items():
        mine, others, unseen = np.split(np.asarray(scores), [40, 100])
        chance = attacks.membership(others, unseen, np.random.default_rng(0))["auc"]
        assert chance["low"] <= 0.5 <= chance["high"], kind
        if kind not in ("pia", "secmi"):  # which turn round here: see fpu/models/ddpm.py
            found = attacks.membership(mine, others, np.random.default_rng(0))["auc"]
            assert found["low"] > 0.6, kind
