"""fpu/utility/field.py: it learns, alone and side by side; sides and colours; the schedule; what a shift may be."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from fpu.utility import field


@pytest.fixture(autouse=True, scope="module")
def _small():
    """The sizes are no arguments of the compiled steps: each module begins and ends without any (conftest.py)."""
    small = {"BATCH": 16, "_BLOCKS": 1, "_WIDTHS": (8, 16), "_CHUNK": 50}
    with mock.patch.multiple(field, **small):
        yield


def accuracy(variables, images, labels):
    return (field.logits(variables, images).argmax(1) == labels).mean()


def test_it_learns_and_seeds_differ():
    images, labels = toy.digits()
    a, b = field.train_all(images[:600], labels[:600], 10, seeds=[0, 1], steps=120)
    (again,) = field.train_all(images[:600], labels[:600], 10, seeds=[1], steps=120)
    assert accuracy(a, images[600:], labels[600:]) > 0.85
    ours, theirs, same = (field.logits(v, images[:20]) for v in (a, b, again))
    assert np.abs(ours - theirs).max() > 1e-2
    np.testing.assert_array_equal(theirs, same)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 33, 3)])
def test_other_sides_and_colours(shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    (variables,) = field.train_all(images, np.array([0, 1, 1]), 4, seeds=[0], steps=5)
    logits = field.logits(variables, images)
    assert logits.shape == (3, 4)
    assert np.isfinite(logits).all()
    assert field.logits(variables, images[:0]).shape == (0, 4)
    np.testing.assert_allclose(field.logits(variables, images[1:]), logits[1:], atol=1e-4)


def test_every_image_is_shown_before_any_is_shown_again():
    rows, shifts = field._plan(50, (28, 28, 1), 0, 10)
    assert (rows.shape, shifts.shape) == ((10, 16), (10, 16, 2))
    flat = rows.reshape(-1)
    assert all(len(set(flat[i : i + 50])) == 50 for i in (0, 50, 100))
    assert set(shifts.reshape(-1)) == {0, 1, 2, 3, 4}
    assert set(field._plan(50, (8, 8, 1), 0, 5)[1].reshape(-1)) == {0}


def test_a_shift_moves_the_image_and_repeats_its_edge(monkeypatch):
    """A network of one number, whose statistics are what it is shown."""
    image = jnp.arange(28 * 28, dtype=jnp.uint8).reshape(1, 28, 28, 1)

    def apply(self, v, shown, **_):
        return v["params"] * jnp.ones((len(shown), 2)), {"shown": shown}

    monkeypatch.setattr(field.Net, "apply", apply)
    state = {"params": jnp.float32(1.0)}, field._optimiser(2).init(jnp.float32(1.0))
    batch = jnp.array([0]), jnp.array([[4, 2]])
    update = jax.jit(field._update, static_argnums=(0, 1))
    shown = update(2, 2, (image, jnp.array([0])), state, batch)[0]["shown"]
    np.testing.assert_array_equal(shown[0, :26], image[0, 2:])
    np.testing.assert_array_equal(shown[0, 27], image[0, 27])


def test_images_that_are_all_alike_do_not_break_it():
    """Their variance is 0 in every batch: a generator that failed draws such images."""
    images = np.full((600, 8, 8, 1), 7, np.uint8)
    (variables,) = field.train_all(images, np.arange(600) % 10, 10, seeds=[0], steps=120)
    assert np.isfinite(field.logits(variables, images)).all()


def test_side_by_side_on_an_accelerator_ends_where_one_by_one_does(monkeypatch):
    """The program of an accelerator, in float32 so that it can be compared: patches, one loop, all seeds."""
    rng = np.random.default_rng(0)  # of noise no two pixels are equal: rounding decides no maximum
    images, labels = rng.integers(0, 256, (60, 8, 8, 1)).astype(np.uint8), np.arange(60) % 10
    monkeypatch.setattr(field, "_RATE", 0.02)  # rounding is not blown up
    alone = field.train_all(images, labels, 10, seeds=[0, 1], steps=5)
    monkeypatch.setattr(field, "_on_cpu", lambda: False)
    monkeypatch.setattr(field.jnp, "bfloat16", field.jnp.float32)
    jax.clear_caches()
    together = field.train_all(images, labels, 10, seeds=[0, 1], steps=5)
    for one, other in zip(alone, together, strict=True):
        found, expected = (field.logits(v, images) for v in (other, one))
        np.testing.assert_allclose(found, expected, atol=3e-2)
    jax.clear_caches()
