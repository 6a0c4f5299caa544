"""fpu/fidelity/memorisation.py: brute force, scipy, known generators, and too little data."""

import numpy as np
import pytest
from clouds import pictures, rng
from scipy.stats import mannwhitneyu, norm

from fpu import fidelity, neighbours
from fpu.fidelity.memorisation import mann_whitney

METRICS = (fidelity.near_copies, fidelity.authenticity, fidelity.data_copying)


def test_copies_are_all_seen_and_fresh_images_pass():
    members, unseen, fresh = pictures(300, 0), pictures(1000, 1), pictures(2000, 2)
    copies = fidelity.near_copies(members, unseen, members, rng())
    assert (copies["value"], copies["high"]) == (1, 1)
    assert copies["low"] > 0.98
    new = fidelity.near_copies(members, unseen, fresh, rng())
    assert 0 <= new["low"] <= 0.01 <= new["high"] < 0.05


def test_near_copies_are_seen_and_grow_with_their_share():
    members, unseen, images = pictures(300, 0), pictures(500, 1), pictures(300, 2)
    close = members - (members > 127) + (members <= 127).astype(np.uint8)
    found = []
    for n in (0, 60, 150):
        images[:n] = close[:n]
        found.append(fidelity.near_copies(members, unseen, images, rng())["value"])
    assert found[0] < 0.05
    assert (found[1], found[2]) == (pytest.approx(0.2, abs=0.04), pytest.approx(0.5, abs=0.04))


def test_near_copies_need_unseen_images():
    found = fidelity.near_copies(pictures(50, 0), pictures(98, 1), pictures(50, 2), rng())
    assert found["reason"] == "98 unseen real images; at least 99 are needed to see 1 %"
    assert fidelity.near_copies(pictures(50, 0), pictures(99, 1), pictures(50, 2), rng())["n"] == 50


def authentic_by_loops(members, images):
    def norm(a, b):
        return np.sqrt(((a.astype(float) - b) ** 2).sum())

    count = 0
    for image in images:
        distances = [norm(image, x) for x in members]
        i = int(np.argmin(distances))
        own = min(norm(members[i], x) for k, x in enumerate(members) if k != i)
        count += distances[i] >= own and distances[i] > 0
    return count / len(images)


def test_authenticity_is_the_loops():
    members, images = pictures(30, 0), pictures(40, 1)
    images[:10] = members[:10] // 2 + 60
    found = fidelity.authenticity(members, None, images, rng())
    assert found["value"] == pytest.approx(authentic_by_loops(members, images))
    assert 0.1 < found["low"] < found["value"] < found["high"] < 0.9


def z_by_scipy(a, b):
    test = mannwhitneyu(a, b, method="asymptotic", use_continuity=False)
    return np.sign(test.statistic - len(a) * len(b) / 2) * norm.isf(test.pvalue / 2)


def test_mann_whitney_is_scipys():
    a, b = rng(0).normal(0.3, 1, 40), rng(1).normal(0, 2, 70)
    assert mann_whitney(a, b)[0] == pytest.approx(z_by_scipy(a, b))
    a, b = np.round(a), np.round(b)  # ties
    assert mann_whitney(a, b)[0] == pytest.approx(z_by_scipy(a, b))


def test_mann_whitney_holds_its_mean_and_has_variance_one_without_a_difference():
    for shift in (0.0, 0.7):
        z, low, high = np.array([mann_whitney(*draws(seed, shift)) for seed in range(400)]).T
        assert np.mean((low <= z.mean()) & (z.mean() <= high)) > 0.92
        if shift == 0:
            assert z.std() == pytest.approx(1, abs=0.12)
    apart = mann_whitney(np.arange(20.0), 100 + np.arange(30.0))
    assert apart[0] == apart[1] < apart[2] < 0


def draws(seed, shift):
    a, b = rng(seed).standard_normal((2, 50))
    return a + shift, b[:40]


def test_data_copying_in_one_cell_is_the_z_score_of_distances():
    members, unseen, images = pictures(100, 0), pictures(60, 1), pictures(70, 2)

    def distance(x):
        return [np.sqrt(((members - a.astype(float)) ** 2).sum((1, 2, 3))).min() for a in x]

    found = fidelity.data_copying(members, unseen, images, rng())
    assert found["value"] == pytest.approx(z_by_scipy(distance(images), distance(unseen)))
    assert found["n"] == 70


def points(n, seed, cells=4):
    """Points [n, 5] around 4 centres, in equal shares."""
    return 30 * np.eye(5)[np.arange(n) % cells] + rng(seed).standard_normal((n, 5))


def test_cells_see_copies_that_too_many_far_images_hide():
    members, unseen = points(200, 0), points(200, 1)
    fresh = points(200, 2)
    assert abs(fidelity.data_copying(members, unseen, fresh, rng())["value"]) < 2
    copies = members + 0.1 * rng(3).standard_normal(members.shape)
    half = np.where((np.arange(200) % 2 == 0)[:, None], copies, fresh)
    found = [fidelity.data_copying(members, unseen, x, rng()) for x in (copies, half, fresh)]
    values = [each["value"] for each in found]
    assert values[0] < -6
    assert values[0] < values[1] - 1 < values[2] - 2
    spread = fresh + 1.5 * rng(4).standard_normal(fresh.shape)
    assert fidelity.data_copying(members, unseen, spread, rng())["value"] > 3


def test_a_wrong_mix_of_cells_is_not_copying():
    def uneven(seed, shares):
        scale = np.repeat([0.2, 3.0], shares)[:, None]
        centre = 60 * np.repeat(np.eye(5)[:2], shares, axis=0)
        return centre + scale * rng(seed).standard_normal((sum(shares), 5))

    members, unseen = uneven(0, (100, 100)), uneven(1, (100, 100))
    images = uneven(2, (170, 30))  # more of the tight class than there should be
    assert abs(fidelity.data_copying(members, unseen, images, rng())["value"]) < 2
    distance = neighbours.distance(np.r_[images, unseen], members)
    assert mann_whitney(distance[:200], distance[200:])[0] < -3  # what one cell would say


def test_intervals_of_fresh_images_hold_the_mean_over_samples():
    members = pictures(150, 0)
    for metric in METRICS[1:]:
        sides = [(pictures(60, 2 * s + 1), pictures(60, 2 * s + 2), rng(s)) for s in range(30)]
        found = [metric(members, *side) for side in sides]
        mean = np.mean([m["value"] for m in found])
        assert sum(m["low"] <= mean <= m["high"] for m in found) >= 25


def test_data_copying_needs_images_on_both_sides():
    few = fidelity.data_copying(pictures(50, 0), pictures(19, 1), pictures(50, 2), rng())
    assert few["reason"] == "19 images or unseen real images; at least 20 are needed"


@pytest.mark.parametrize("metric", METRICS)
def test_poor_input_gives_reasons(metric):
    members, unseen = pictures(50, 0), pictures(100, 1)
    features = members.reshape(50, -1).astype(float)
    broken = features.copy()
    broken[3, 2] = np.nan
    flat = unseen.reshape(100, -1).astype(float)
    for inputs, words in (
        ((members[:1], unseen, members), "50 images to judge and 1 members"),
        ((members, unseen, members[:0]), "0 images to judge"),
        ((members, unseen, np.full_like(members, 9)), "all images are the same"),
        ((np.full_like(members, 9), unseen, members), "all members are the same"),
        ((features, flat, broken), "the images are not all finite"),
        ((broken, flat, features), "the members are not all finite"),
    ):
        found = metric(*inputs, rng())
        assert found["value"] is None
        assert words in found["reason"]
