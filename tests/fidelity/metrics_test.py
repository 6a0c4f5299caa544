"""fpu/fidelity: every metric together: monotonicity, intervals, data too poor to be compared."""

import numpy as np
import pytest
from clouds import everywhere, mixture, rng

from fpu import fidelity


def values(real, fake, labels, seed=0):
    return {name: m["value"] for name, m in fidelity.compare(real, fake, labels, rng(seed)).items()}


@pytest.fixture(scope="module")
def fresh():
    (real, labels), (fake, _) = mixture(0), mixture(1)
    return real, fake, labels, values(real, fake, labels)


def test_a_line_of_the_register_is_the_function_of_its_name():
    assert [metric.function.__name__ for metric in fidelity.FIDELITY.values()] == [
        *fidelity.FIDELITY
    ]


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
    for name in ("kid", "fd", "fd_inf"):
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
    one, other = (fidelity.compare(real, fake, labels, rng(3)) for _ in "ab")
    assert one == other


def test_too_few_images_give_reasons(fresh):
    real, fake, labels, _ = fresh
    few = fidelity.compare(real[::5], fake[::5], labels[::5], rng())
    assert all(m["value"] is None for m in few.values())
    assert few["kid"]["reason"] == "40 images on each side; at least 50 are needed"
    wide = fidelity.compare(np.tile(real, 10), np.tile(fake, 10), labels, rng())
    assert wide["fd"]["reason"] == "200 images on each side; at least 320 are needed"
    assert wide["kid"]["value"] is not None


def test_classes_of_too_few_images_give_reasons():
    (real, labels), (fake, _) = mixture(0, classes=12, each=5), mixture(1, classes=12, each=5)
    found = fidelity.compare(real, fake, labels, rng())
    for name, least in (("kid", 6), ("vendi", 20)):
        assert found[name]["reason"] == f"fewer than {least} images in every class"
    assert found["precision"]["value"] is not None


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


def test_swapped_labels_are_seen_class_by_class_alone(fresh):
    real, fake, labels, base = fresh
    found = fidelity.values(real, fake[rng(1).permutation(len(fake))], labels)
    assert found["vendi"] > 1.5 * base["vendi"]
    for name in ("fd", "precision", "recall", "density", "coverage"):
        assert found[name] == pytest.approx(base[name])


def test_the_control_is_the_two_distances_under_names_of_their_own(fresh):
    real, fake, labels, base = fresh
    found = fidelity.control(real, fake, labels, rng())
    assert list(found) == ["kid_random", "fd_random"]
    assert found["fd_random"]["value"] == pytest.approx(base["fd"])
