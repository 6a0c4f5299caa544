"""Blank, repeated and two-valued images: fresh ones stay at the real line, copies are what they are in every metric."""

import numpy as np
import pytest
from clouds import everywhere, rng

from fpu import fidelity, neighbours

N = 200


def plain(n, seed):
    """Smooth images uint8 [n, 8, 8, 1]."""
    pixels = 128 + 20 * rng(seed).standard_normal((n, 6)) @ rng(99).standard_normal((6, 64))
    return np.clip(pixels, 0, 255).astype(np.uint8).reshape(n, 8, 8, 1)


def blank(n, seed):
    """30 % of all images are black."""
    images = plain(n, seed)
    images[rng([seed, 1]).random(n) < 0.3] = 0
    return images


def repeated(n, seed):
    """Only 150 different images exist."""
    return plain(150, 7)[rng(seed).integers(150, size=n)]


def two_valued(n, seed):
    return 255 * (plain(n, seed) > 128).astype(np.uint8)


KINDS = (blank, repeated, two_valued)


def embed(*sets):
    """16 smooth features, equal for equal images."""
    weights = rng(5).standard_normal((64, 16))

    def features(images):
        return np.tanh((images.reshape(len(images), 64) / 255 - 0.5) @ weights / 2)

    return neighbours.on_distinct(features, *sets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_against_its_own_copy_has_the_best_value(kind):
    (real,) = embed(kind(N, 3))
    found = fidelity.compare(real, real.copy(), np.zeros(N, int), rng())
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name]["value"] == pytest.approx(1), name
    assert found["kid"]["value"] <= 0
    assert 0 <= found["fd"]["low"] <= found["fd"]["value"] < 1e-9
    assert found["vendi"]["value"] == everywhere(fidelity.vendi, real, real)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_images_are_at_the_real_line(kind):
    real, *fresh = embed(*(kind(N, seed) for seed in range(3, 10)))
    labels = np.zeros(N, int)
    for name in ("precision", "recall", "density", "coverage"):
        metric = fidelity.FIDELITY[name].function
        values = [everywhere(metric, real, x, labels) for x in fresh]
        assert min(values) > 0.8, name
        assert max(values) < 1.2, name


@pytest.mark.parametrize("kind", [plain, *KINDS])
def test_fresh_images_are_no_copies(kind):
    found = []
    for seed in range(6):
        members, unseen, fresh = (kind(n, [seed, n]) for n in (150, 401, 200))
        found.append(fidelity.near_copies(members, unseen, fresh, rng()))
        assert abs(fidelity.data_copying(*embed(members, unseen, fresh), rng())["value"]) < 3
    if kind is repeated:  # a quarter of the unseen images equal a member
        assert {m["reason"][:44] for m in found} == {"1 % or more of the unseen real images equal "}
    else:
        assert np.mean([m["value"] for m in found]) <= 0.01


@pytest.mark.parametrize("kind", [plain, *KINDS])
def test_copies_are_copies(kind):
    members, unseen = kind(150, 0), kind(400, 1)
    members = np.concatenate([members, members])  # each occurs twice, or more often
    if kind is not repeated:
        assert fidelity.near_copies(members, unseen, members, rng())["value"] == 1
    for sets in ((members, unseen, members), embed(members, unseen, members)):
        assert fidelity.authenticity(*sets, rng())["value"] == 0
        assert fidelity.data_copying(*sets, rng())["high"] < -1


def test_one_image_that_all_share_proves_nothing():
    members, unseen = plain(40, 0), blank(400, 1)
    members[0] = 0
    black = np.zeros((50, 8, 8, 1), np.uint8)
    black[:9] += 1  # not black at all
    assert fidelity.near_copies(members, unseen, black, rng())["n"] == 9
    found = fidelity.near_copies(members, unseen, np.concatenate([black[9:], members[:1]]), rng())
    assert found["value"] is None


def test_members_of_three_images_have_three_cells_at_most():
    members = plain(3, 0)[np.arange(90) % 3]
    assert abs(fidelity.data_copying(members, plain(500, 1), plain(500, 2), rng())["value"]) < 3
