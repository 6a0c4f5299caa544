"""fpu/fidelity.py: closed forms, brute force, the reference implementation's numbers, monotonicity."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from fpu import fidelity


def rng(seed=0):
    return np.random.default_rng(seed)


def everywhere(metric, real, fake, labels=None):
    labels = np.zeros(len(real), int) if labels is None else labels
    return metric(real, fake, labels)(np.arange(len(real)), np.arange(len(fake)))


def wave(n, d, phase):
    """Scattered points that do not depend on numpy's random stream."""
    return np.sin(np.arange(n * d, dtype=float).reshape(n, d) ** 1.5 + phase)


def mixture(seed, classes=5, each=40, d=16):
    """Features of `classes` well-separated classes, and their labels."""
    labels = np.repeat(np.arange(classes), each)
    centres = 3 * rng(99).standard_normal((classes, d))
    return centres[labels] + 0.5 * rng(seed).standard_normal((len(labels), d)), labels


# FD


def test_frechet_distance_of_commuting_gaussians():
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    mean = np.array([1.0, 0.0, -2.0])
    expected = 5 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = fidelity.frechet(mean, np.diag(a), np.zeros(3), np.diag(b))
    assert found == pytest.approx(expected)


def test_frechet_distance_of_general_gaussians_is_scipys():
    a, b = (
        np.cov(rng(seed).standard_normal((5, 30)) * np.arange(1, 6)[:, None]) for seed in (0, 1)
    )
    expected = np.trace(a + b) - 2 * np.trace(sqrtm(a @ b)).real
    assert fidelity.frechet(np.zeros(5), a, np.zeros(5), b) == pytest.approx(expected)


def test_frechet_distance_of_singular_covariances():
    flat = np.diag([1.0, 0.0])
    assert fidelity.frechet(np.zeros(2), flat, np.zeros(2), flat) == pytest.approx(0, abs=1e-9)


def test_fd_of_samples_tends_to_the_closed_form():
    real, fake = rng(0).standard_normal((2, 4000, 4))
    found = everywhere(fidelity.fd, real, 2 * fake + np.array([1.0, 0, 0, 0]))
    assert found == pytest.approx(1 + 4, rel=0.05)


# KID


def kid_by_loops(x, y):
    def kernel(a, b):
        return (sum(a * b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    real = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    fake = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return real + fake - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_kid_of_one_class_is_the_double_sum():
    x, y = wave(12, 3, 0.0), wave(12, 3, 5.0) + 0.2
    assert everywhere(fidelity.kid, x, y) == pytest.approx(kid_by_loops(x, y))


def test_kid_is_unbiased_where_class_counts_are_equal():
    values = {True: [], False: []}
    for seed in range(40):
        (real, labels), (fake, _) = mixture(2 * seed, each=20), mixture(2 * seed + 1, each=20)
        for known in values:
            values[known].append(everywhere(fidelity.kid, real, fake, labels if known else None))
    mean, error = np.mean(values[True]), np.std(values[True]) / np.sqrt(40)
    assert abs(mean) < 4 * error
    assert np.mean(values[False]) < -10 * error  # what the classes correct


# Precision, recall, density, coverage


def prdc_by_loops(real, fake, k=5):
    def norm(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radii(x):
        return [sorted(norm(a, b) for b in x)[k] for a in x]

    r, f = radii(real), radii(fake)
    inside = np.array([[norm(x, y) < r[i] for y in fake] for i, x in enumerate(real)])
    back = np.array([[norm(x, y) < f[j] for j, y in enumerate(fake)] for x in real])
    return {
        "precision": inside.any(0).mean(),
        "recall": back.any(1).mean(),
        "density": inside.sum() / (k * len(fake)),
        "coverage": inside.any(1).mean(),
    }


def test_neighbour_metrics_are_the_loops():
    real, fake = wave(40, 3, 0.0), 1.2 * wave(40, 3, 7.0) + 0.3
    expected = prdc_by_loops(real, fake)
    found = {name: everywhere(fidelity.FIDELITY[name].function, real, fake) for name in expected}
    assert found == pytest.approx(expected)


def test_neighbour_metrics_are_those_of_prdc():
    real, fake = wave(120, 3, 0.0), 1.2 * wave(120, 3, 7.0) + 0.3
    frozen = {  # prdc 0.2, compute_prdc(real, fake, nearest_k=5)
        "precision": 0.525,
        "recall": 0.95,
        "density": 0.385,
        "coverage": 0.6583333333333333,
    }
    found = {name: everywhere(fidelity.FIDELITY[name].function, real, fake) for name in frozen}
    assert found == pytest.approx(frozen)


def test_a_copy_has_density_one():
    real, _ = mixture(0)
    assert everywhere(fidelity.density, real, real) == pytest.approx(1)


# Together


def values(real, fake, labels, seed=0):
    return {name: m["value"] for name, m in fidelity.compare(real, fake, labels, rng(seed)).items()}


@pytest.fixture(scope="module")
def fresh():
    (real, labels), (fake, _) = mixture(0), mixture(1)
    return real, fake, labels, values(real, fake, labels)


def test_noise_moves_every_metric_the_right_way(fresh):
    real, fake, labels, base = fresh
    noisy = values(real, fake + 2 * rng(5).standard_normal(fake.shape), labels)
    assert noisy["kid"] > base["kid"]
    assert noisy["fd"] > base["fd"]
    for name in ("precision", "density", "coverage"):
        assert noisy[name] < base[name] - 0.1


def test_a_dropped_class_costs_recall_and_coverage_and_not_precision(fresh):
    real, fake, labels, base = fresh
    fake = np.where((labels == 0)[:, None], fake[np.flatnonzero(labels == 1)[0]], fake)
    dropped = values(real, fake, labels)
    for name in ("recall", "coverage"):
        assert dropped[name] < base[name] - 0.1
    assert dropped["precision"] > base["precision"] - 0.05
    assert dropped["kid"] > base["kid"]
    assert dropped["fd"] > base["fd"]


def test_every_interval_holds_its_value_and_narrows_with_n(fresh):
    real, fake, labels, _ = fresh
    half = np.arange(len(labels)) % 2 == 0
    whole = fidelity.compare(real, fake, labels, rng())
    part = fidelity.compare(real[half], fake[half], labels[half], rng())
    for found in whole.values():
        assert found["low"] <= found["value"] <= found["high"]
        assert found["n"] == 200
    for name in ("kid", "fd", "density"):
        found = whole[name]
        assert found["high"] - found["low"] < part[name]["high"] - part[name]["low"]


def test_intervals_cover_the_mean_over_samples():
    inside, runs = dict.fromkeys(fidelity.FIDELITY, 0), 30
    found = []
    for seed in range(runs):
        (real, labels), (fake, _) = mixture(2 * seed, each=20), mixture(2 * seed + 1, each=20)
        found.append(fidelity.compare(real, fake, labels, rng(seed)))
    for name in inside:
        mean = np.mean([m[name]["value"] for m in found])
        inside[name] = sum(m[name]["low"] <= mean <= m[name]["high"] for m in found)
    assert min(inside.values()) >= 24


def test_the_same_seed_gives_the_same_intervals(fresh):
    real, fake, labels, _ = fresh
    assert fidelity.compare(real, fake, labels, rng(3)) == fidelity.compare(
        real, fake, labels, rng(3)
    )


def test_too_few_images_give_reasons(fresh):
    real, fake, labels, _ = fresh
    few = fidelity.compare(real[::5], fake[::5], labels[::5], rng())
    assert all(m["value"] is None for m in few.values())
    assert few["kid"]["reason"] == "40 images on each side; at least 50 are needed"
    wide = fidelity.compare(np.tile(real, 10), np.tile(fake, 10), labels, rng())
    assert wide["fd"]["reason"] == "200 images on each side; at least 320 are needed"
    assert wide["kid"]["value"] is not None


def test_broken_features_give_reasons(fresh):
    real, fake, labels, _ = fresh
    broken = fake.copy()
    broken[3, 2] = np.nan
    same = np.broadcast_to(fake[:1], fake.shape)
    for other, words in ((broken, "not all finite"), (same, "all synthetic images are the same")):
        for found in fidelity.compare(real, other, labels, rng()).values():
            assert found["value"] is None
            assert words in found["reason"]


def test_rare_classes_do_not_break_kid(fresh):
    real, fake, _, base = fresh
    labels = np.zeros(len(real), int)
    labels[:3] = [1, 2, 2]
    found = values(real, fake, labels)
    assert found["kid"] == pytest.approx(everywhere(fidelity.kid, real, fake), abs=0.5)
    assert np.isfinite(list(found.values())).all()
    assert base.keys() == found.keys()


# Memorisation


def pictures(n, seed):
    return rng(seed).integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)


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
    assert found[1] == pytest.approx(0.2, abs=0.04)
    assert found[2] == pytest.approx(0.5, abs=0.04)


def test_near_copies_need_unseen_images():
    found = fidelity.near_copies(pictures(50, 0), pictures(98, 1), pictures(50, 2), rng())
    assert found["reason"] == "98 unseen real images; at least 99 are needed to see 1 %"
    assert fidelity.near_copies(pictures(50, 0), pictures(99, 1), pictures(50, 2), rng())["n"] == 50
