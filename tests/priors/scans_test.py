"""fpu/priors/scans.py, layers.py and other families: any side, repeatable, of many kinds, what each should show."""

import numpy as np
import pytest

from fpu.models import Spec
from fpu.priors import chest, layers, phantoms, scans, shapes, spectrum

FAMILIES = [layers, chest, phantoms]


def made(n=60, side=(16, 16), seed=0, prior=scans):
    return prior.make(np.random.default_rng(seed), n, Spec((*side, 1), 4))


@pytest.mark.parametrize("prior", [scans, layers])
@pytest.mark.parametrize("side", [(8, 8), (28, 28), (64, 64), (13, 20)])
def test_images_of_any_side(side, prior):
    images, classes = made(side=side, prior=prior)
    assert (images.shape, images.dtype, classes.shape) == ((60, *side, 1), np.uint8, (60,))
    assert classes.dtype == np.int32


def test_the_same_seed_makes_the_same_images_and_another_makes_others():
    (a, k), (b, l), (c, _) = made(), made(), made(seed=1)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(k, l)
    assert (a != c).any()


def test_all_kinds_come_up_in_the_shares_of_the_families():
    _, classes = made(3000, (8, 8))
    counts = np.bincount(classes)
    assert len(counts) == sum(family.KINDS for family in FAMILIES)
    assert counts.min() > 100
    assert abs(counts[: layers.KINDS].sum() / 3000 - scans.FAMILIES[0][2]) < 0.04


def test_layers_alone_are_what_draw_makes_in_another_order():
    images, classes = made(40, prior=layers)
    rng = np.random.default_rng(0)
    rng.multinomial(40, [1.0])
    order = rng.permutation(40)
    drawn, kinds = layers.draw(rng, 40, 16, 16)
    np.testing.assert_array_equal(images[order, ..., 0], np.round(255 * np.clip(drawn, 0, 1)))
    np.testing.assert_array_equal(classes[order], kinds)


def test_in_the_space_of_layers_alone_it_does_not_matter_where_things_are():
    spec = Spec((28, 28, 1), 4)
    images, classes = made(400, (28, 28), prior=layers)
    spot = np.zeros((2, 28, 28, 1), np.uint8)
    spot[0, 12:15, 11:14], spot[1, 13:16, 14:17] = 200, 200
    spaces = (each.space(images, classes, spec) for each in (layers, spectrum))
    alone, with_places = (space.encode(spot) for space in spaces)
    assert np.linalg.norm(alone[0] - alone[1]) < 0.3 * np.linalg.norm(alone[0])
    assert np.linalg.norm(with_places[0] - with_places[1]) > 0.3 * np.linalg.norm(with_places[0])


def test_no_two_images_are_the_same_and_none_is_blank():
    images, _ = made(500)
    flat = images.reshape(500, -1)
    assert len(np.unique(flat, axis=0)) == 500
    assert np.median(flat.std(1)) > 10
    assert flat.std(1).min() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_draws_numbers_near_0_to_1_in_float32(family):
    images, kinds = family.draw(np.random.default_rng(0), 50, 12, 15)
    assert (images.shape, images.dtype) == ((50, 12, 15), np.float32)
    assert np.isfinite(images).all()
    assert images.min() > -2
    assert images.max() < 3
    assert set(kinds) == set(range(family.KINDS))


def test_layers_are_dark_above_and_glow_below_their_brightest_line():
    images, _ = layers.draw(np.random.default_rng(0), 400, 28, 28)
    clear = (images > 0.97).mean((1, 2)) < 0.01  # without white corners
    rows = np.median(images[clear].mean(2), axis=0)
    assert rows[:5].max() < 0.5 * rows[10:20].max()
    assert rows[-4] > rows[2]


def test_lungs_are_dark_and_disease_lightens_them():
    images, kinds = chest.draw(np.random.default_rng(0), 800, 28, 28)
    lungs = 0.5 * (images[:, 10:18, 6:10].mean((1, 2)) + images[:, 10:18, 18:22].mean((1, 2)))
    contrast = images[:, 10:18, 13:15].mean((1, 2)) - lungs
    by_kind = [contrast[kinds == k].mean() for k in range(chest.KINDS)]
    assert by_kind[0] > 0.1
    assert max(by_kind[1:]) < by_kind[0]


def test_a_field_passes_through_its_knots_and_an_ellipse_is_1_on_its_outline():
    weights = shapes._between(40, 4)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    at = (np.arange(40) + 0.5) / 40 * 4
    np.testing.assert_allclose(weights @ np.arange(5), at, rtol=1e-5)
    far = shapes.ellipse(np.float32(0.5), np.float32(0.9), (0.5, 0.6), (0.1, 0.3))
    assert far == pytest.approx(1, rel=1e-5)
    turned = shapes.ellipse(np.float32(0.6), np.float32(0.5), (0.5, 0.5), (9.0, 0.1), np.pi / 2)
    assert turned == pytest.approx(1, rel=1e-5)
