"""fpu/priors/conditioning.py: the codes that a model is told, and the grey levels of its images."""

import jax
import jax.numpy as jnp
import linear_prior
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import decomposition

from fpu import training
from fpu.models import Spec
from fpu.priors import conditioning

LABELS = np.array([0, 2, 0, 1])
# Twelve draws of three classes in turn; the first number of a code tells which it is.
CODES = jnp.arange(12.0)[:, None] * jnp.array([[1.0, 0.1]])


def shown(labels, codes):
    """An image of one grey level, that of the first number of the code."""
    del labels
    return jnp.ones((len(codes), 8, 8, 1)) * codes[:, :1, None, None] / 255


def drawn(labels=LABELS, key=3, draw=shown, **params):
    def of(key, labels, codes):
        return draw(labels, codes)

    params = {conditioning.CODES: CODES, **params}
    return np.asarray(conditioning.sample(params, 3, of, jax.random.key(key), labels))


def test_an_image_is_made_from_the_code_of_a_draw_of_its_class():
    labels = np.tile(LABELS, 50)
    rows = np.round(255 * drawn(labels)[:, 0, 0, 0]).astype(int)
    np.testing.assert_array_equal(rows % 3, labels)
    assert set(rows) == set(range(12))  # each draw has its turn
    np.testing.assert_array_equal(drawn(labels), drawn(labels))
    assert (drawn(labels) != drawn(labels, key=4)).any()


def test_codes_are_of_each_image_alone_and_have_the_scale_of_the_pool():
    prior = linear_prior.make()

    def encode(images):  # rounds by how many images there are
        return linear_prior.encode(images) + np.float32(1e-9 * len(images))

    prior = prior._replace(space=prior.space._replace(encode=encode))
    images, _ = linear_prior.members(20)
    codes = conditioning.codes(prior, images)
    assert (codes.shape, codes.dtype) == ((20, linear_prior.D), np.float32)
    for row in range(3):  # to the last bit
        np.testing.assert_array_equal(
            conditioning.codes(prior, images[row : row + 1])[0], codes[row]
        )
    pool = conditioning.codes(prior, prior.images)
    np.testing.assert_allclose(pool.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.square(pool).mean(), 1.0, atol=0.02)


@pytest.mark.parametrize("clear", [0, 2, 3, 4])
def test_the_codes_from_which_a_model_makes_clear_images_are_left(clear):
    """Images lie on the way from grey to the mean of their class: the farther, the clearer."""
    means = 4.0 * np.eye(3, linear_prior.D)
    rng, rows = np.random.default_rng(5), np.arange(24)
    labels, number = rows % 3, rng.permutation(12)[rows % 12]  # four codes a class, each twice
    order = np.array([rng.permutation(4) for _ in range(3)])[rows % 3, rows % 12 // 3]
    # How far on the way; what counts is the mean of both.
    way = 0.1 + 0.1 * order + np.where(rows < 12, 0.04, -0.04)

    def image(way):
        return linear_prior.decode(way[:, None] * means[labels])

    spread = np.broadcast_to(np.eye(linear_prior.D), (3, linear_prior.D, linear_prior.D))
    release = {"means": means[:, None], "weights": np.ones((3, 1)), "roots": spread}
    drawn = training.Pool(
        image(np.full(24, 0.45 - 0.1 * clear)), labels, None, None, number[:, None] * 1.0
    )
    left = conditioning.clear(linear_prior.make(), release, drawn, image(way), 3)
    assert left.shape == drawn.codes.shape
    for k in range(3):
        best = number[(labels == k) & (order >= 4 - max(clear, 2))]
        assert set(left[k::3, 0]) == set(best)
        assert np.unique(left[k::3], return_counts=True)[1].min() >= 2  # in turn


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_tones_give_a_smooth_model_the_grey_levels_of_its_draws(seed, power):
    rng = np.random.default_rng(seed)
    drawn = np.where(rng.random(20_000) < 0.8, 0, rng.integers(0, 256, 20_000)).astype(np.uint8)
    smooth = np.round(255 * (np.sort(drawn) / 255) ** (1 / power) * 0.9 + 9).astype(np.uint8)
    tones = conditioning.tones(conditioning.histogram(smooth), conditioning.histogram(drawn))
    assert (tones.shape, tones.dtype) == ((256,), np.float32)
    assert (np.diff(tones) >= 0).all()
    assert tones.min() >= 0
    assert tones.max() <= 1
    values, counts = np.unique(smooth, return_counts=True)
    # The rank of the middle pixel of each level.
    middle = np.ceil(np.cumsum(counts) - counts / 2).astype(int)
    oracle = np.sort(drawn)[middle - 1]
    np.testing.assert_array_equal(np.round(255 * tones[values]), oracle)


def test_no_tone_is_darker_or_lighter_than_all_of_the_draws():
    model, drawn = (conditioning.histogram(np.arange(*ends)) for ends in ((60, 256), (90, 241)))
    tones = np.round(255 * conditioning.tones(model, drawn))
    assert (tones.min(), tones.max()) == (90, 240)


def test_a_models_images_get_the_tones_of_its_draws():
    tones = np.linspace(1, 0, 256, dtype=np.float32)  # a negative, to be seen
    np.testing.assert_allclose(drawn(tones=tones), 1 - drawn(), atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_images_that_are_not_finite_are_given_back_to_be_told_of():
    def broken(labels, codes):
        return shown(labels, codes).at[1].set(jnp.nan)

    images = drawn(draw=broken, tones=np.linspace(1, 0, 256, dtype=np.float32))
    assert np.isnan(images[1]).all()


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (0, {"codes": CODES}),
        (2, {}),
        (0, {"tones": jnp.ones(256)}),
        (3, {"codes": CODES}),
        (2, {"codes": CODES[:2]}),
        (2, {"codes": CODES[:, 0]}),
        (2, {"codes": CODES, "tones": jnp.ones(3)}),
        (2, {"codes": CODES, "tones": 2 * jnp.ones(256)}),
    ],
)
def test_codes_and_tones_that_cannot_be_drawn_from_are_refused(code, params):
    conditioning.check({"codes": CODES, "tones": jnp.ones(256)}, Spec((8, 8, 1), 3, 2))
    with pytest.raises(ValueError, match=r"codes|tones"):
        conditioning.check(params, Spec((8, 8, 1), 3, code))


def test_a_code_that_is_not_finite_counts_as_0_and_those_beside_it_are_as_they_were():
    images, _, prior = linear_prior.with_a_strange_member(0, 0, np.nan)
    codes = conditioning.codes(prior, images)
    np.testing.assert_array_equal(codes[0], 0)
    np.testing.assert_array_equal(codes[1:], conditioning.codes(linear_prior.make(), images)[1:])
    far = linear_prior.with_a_strange_member(0, 0, 1e30)
    np.testing.assert_array_equal(conditioning.codes(far[2], far[0]), codes)


def test_where_nothing_decodes_the_code_is_of_principal_components_that_show_the_image():
    prior = linear_prior.make()
    blind = prior._replace(space=prior.space._replace(decode=None))
    assert conditioning.size(prior) == linear_prior.D
    pool = conditioning.codes(blind, prior.images)
    assert pool.shape[1] == conditioning.size(blind) == conditioning.SIZE
    pixels = prior.images.reshape(len(pool), -1) / 255.0
    oracle = decomposition.PCA(linear_prior.D, whiten=True).fit_transform(pixels)
    # The five directions of the pool vary alike, so their components are known up to a rotation.
    first = pool[:, : linear_prior.D] / pool[:, : linear_prior.D].std(0)
    alike = np.linalg.svd(first.T @ oracle / len(pool), compute_uv=False)
    np.testing.assert_allclose(alike, 1.0, atol=0.01)


def test_components_are_of_the_whole_pool_though_it_is_sorted_and_few_of_it_are_fitted(monkeypatch):
    """Images of the first class vary on the left alone, those of the second on the right."""
    monkeypatch.setattr(conditioning, "_FITTED", 100)
    prior = linear_prior.make()
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 1), np.uint8)
    images[:200, :, 4:] = images[200:, :, :4] = 0
    blind = prior._replace(images=images, space=prior.space._replace(decode=None))
    codes = conditioning.codes(blind, images)
    first, second = codes[:200].std(0).mean(), codes[200:].std(0).mean()
    assert 0.7 < first / second < 1.4


def test_a_direction_in_which_the_pool_hardly_varies_says_little():
    """The pool's images differ in brightness alone. Others have no large code, and not the code 0 either."""
    prior, rng = linear_prior.make(), np.random.default_rng(0)
    images = np.broadcast_to(rng.integers(0, 256, (400, 1, 1, 1), np.uint8), (400, 8, 8, 1))
    blind = prior._replace(images=images, space=prior.space._replace(decode=None))
    strange = rng.integers(0, 256, (50, 8, 8, 1), np.uint8)
    found = conditioning.codes(blind, strange)
    assert np.abs(found).max() < 1e4
    assert np.abs(found).max(1).all()
