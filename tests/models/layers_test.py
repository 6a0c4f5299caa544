"""fpu/models/layers.py against jax's own convolution, flax's norm and inverses."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fpu.models import layers


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(("k", "strides"), [(1, 1), (3, 1), (3, 2), (4, 2)])
def test_conv_is_a_sum_over_shifted_images(k, strides):
    x, kernel = normal(0, 7, 10, 2), normal(1, k, k, 2, 3)
    pad = k // 2
    padded = np.pad(x, ((pad, k - 1 - pad), (pad, k - 1 - pad), (0, 0)))
    places = [(i, j) for i in range(k) for j in range(k)]
    shifted = (padded[i : i + 7, j : j + 10][::strides, ::strides] for i, j in places)
    want = sum(x @ np.asarray(kernel[at]) for x, at in zip(shifted, places, strict=True))
    given = {"params": {"kernel": kernel, "bias": jnp.zeros(3)}}
    found = layers.Conv(3, (k, k), strides).apply(given, x)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
    assert want.shape[:2] == (-(-7 // strides), 10 // strides)


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 14, 3)])
@pytest.mark.parametrize("patch", [2, 4, 0])
def test_unpatchify_undoes_patchify(shape, patch):
    side = layers.patch_side(patch, shape)
    image = normal(0, *shape)
    tokens = layers.patchify(image, side)
    h, w = layers.token_grid(shape, side)
    assert tokens.shape == (h * w, side * side * shape[2])
    assert patch or len(tokens) == 1
    np.testing.assert_array_equal(layers.unpatchify(tokens, shape, side), image)


def test_a_patch_is_a_square_of_the_image():
    image = jnp.arange(64.0).reshape(8, 8, 1)
    np.testing.assert_array_equal(layers.patchify(image, 4)[1], image[:4, 4:].reshape(-1))


def test_upsample_repeats_every_pixel_and_crop_takes_the_corner():
    x = jnp.arange(4.0).reshape(2, 2, 1)
    big = layers.upsample(x)
    np.testing.assert_array_equal(big, np.repeat(np.repeat(x, 2, 0), 2, 1))
    assert layers.crop(big, (3, 3)).shape == (3, 3, 1)


def test_group_norm_of_one_image_is_that_of_a_batch():
    batch = normal(0, 3, 5, 4, 8)
    layer, reference = layers.GroupNorm(2), linen.GroupNorm(num_groups=2)
    parameters = layer.init(jax.random.key(0), batch[0])
    want = reference.apply({"params": parameters["params"]["GroupNorm_0"]}, batch)
    np.testing.assert_allclose(layer.apply(parameters, batch[1]), want[1], atol=1e-5)
    np.testing.assert_allclose(np.asarray(want[1]).reshape(20, 2, 4).mean((0, 2)), 0, atol=1e-5)


def test_time_embeddings_tell_steps_apart():
    features = jax.vmap(lambda t: layers.time_embedding(t, 32))(jnp.linspace(0, 1, 401))
    assert features.shape == (401, 32)
    assert float(jnp.abs(features).max()) <= 1
    assert float(jnp.abs(features[1:] - features[:-1]).max(1).min()) > 0.05


def test_a_mixer_mixes_tokens_and_heeds_its_condition():
    net = layers.Mixer(1, 8, 8)
    x, condition = normal(0, 4, 6), normal(1, 5)
    parameters = jax.jit(net.init)(jax.random.key(0), x, condition)
    apply = jax.jit(net.apply)
    y = apply(parameters, x, condition)
    assert y.shape == x.shape
    assert (jnp.abs(apply(parameters, x.at[0, 0].add(1.0), condition) - y).max(1) > 1e-5).all()
    assert float(jnp.abs(apply(parameters, x, condition + 1) - y).max()) > 1e-4
