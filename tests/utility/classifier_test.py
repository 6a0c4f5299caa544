"""fpu/utility/classifier.py: what the one network learns, and that one compilation serves all."""

import jax
import numpy as np
import pytest
import toy

from fpu.utility import classifier


@pytest.fixture(scope="module")
def trained():
    images, labels = toy.digits()
    return classifier.train(images[:500], labels[:500], 10, seed=0)


def test_500_digits_teach_it_what_such_networks_know(trained):
    images, labels = toy.digits()
    assert (classifier.logits(trained, images[1000:]).argmax(1) == labels[1000:]).mean() > 0.93


def test_features_come_before_the_logits(trained):
    images, _ = toy.digits()
    features = classifier.features(trained, images[:7])
    last = trained["params"]["logits"]
    expected = np.maximum(features, 0) @ last["kernel"] + np.asarray(last["bias"])[None]
    assert features.shape == (7, classifier.FEATURES)
    np.testing.assert_allclose(classifier.logits(trained, images[:7]), expected, atol=1e-3)


def test_one_compiled_step_serves_every_number_of_images(trained):
    images, labels = toy.digits()
    before = classifier._step._cache_size()
    classifier.train(images[:3], labels[:3], 10, seed=1)
    assert classifier._step._cache_size() == before


def test_an_accelerator_trains_seeds_side_by_side_as_one_by_one(monkeypatch):
    images, labels = toy.digits()

    def train_all(*seeds):
        return classifier.train_all(images[:200], labels[:200], 10, seeds=seeds, steps=10)

    monkeypatch.setattr(classifier.jax, "default_backend", lambda: "gpu")
    together = train_all(3, 4)
    assert (train_all(), len(train_all(3))) == ([], 1)
    for params, seed in zip(together, (3, 4), strict=True):
        alone = classifier.train(images[:200], labels[:200], 10, seed=seed, steps=10)
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
    logits = [classifier.logits(params, images[200:300]) for params in together]
    assert not np.allclose(*logits, atol=0.1)


def test_the_seed_decides_the_random_features():
    images, _ = toy.digits()
    made = (classifier.initial((8, 8, 1), 10, seed) for seed in (0, 0, 1))
    a, b, c = (classifier.features(params, images[:3]) for params in made)
    assert np.array_equal(a, b)
    assert not np.allclose(a, c, atol=0.1)


@pytest.mark.parametrize("n", [0, 1, 500, 501])
def test_padding_never_shows(trained, n):
    images, _ = toy.digits()
    found = classifier.features(trained, images[:n])
    assert found.shape == (n, classifier.FEATURES)
    if n:
        one = classifier.features(trained, images[n - 1 : n])
        np.testing.assert_allclose(found[-1:], one, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 13, 1), (17, 8, 3), (28, 28, 1), (33, 64, 3)])
def test_every_allowed_shape_is_brought_to_4x4_at_most(shape):
    params = jax.eval_shape(lambda: classifier.initial(shape, 3, 0))["params"]
    images = jax.ShapeDtypeStruct((2, *shape), np.uint8)
    logits, features = jax.eval_shape(classifier.Net(3).apply, {"params": params}, images)
    assert (logits.shape, features.shape) == ((2, 3), (2, 64))
    assert params["Dense_0"]["kernel"].shape[0] <= 4 * 4 * 64


def test_shifts_move_pixels_by_at_most_a_fourteenth():
    images = np.zeros((200, 28, 28, 1), np.uint8)
    images[:, 14, 14] = 255
    moved = np.argwhere(classifier.shifted(images, np.random.default_rng(0)))[:, 1:3] - 14
    assert len(moved) == 200
    assert set(moved[:, 0]) == set(moved[:, 1]) == {-2, -1, 0, 1, 2}
    small, _ = toy.digits()
    assert np.array_equal(classifier.shifted(small[:9], np.random.default_rng(0)), small[:9])
