"""fpu/utility/protocols.py: every row on digits; what moves which row; what is kept on disk."""

import jax
import numpy as np
import pytest
import toy

from fpu.utility import classifier, metrics, private_classifier, protocols

pytestmark = pytest.mark.usefixtures("short_training")
TRAINING_STEPS = 80
ROWS = ["synthetic", "rival", "members", "all_real", "members_and_synthetic", "label_fidelity"]
ROWS += ["reference", "private_classifier", "linear_synthetic", "linear_members"]


@pytest.fixture(scope="module")
def real():
    images, labels = toy.digits()
    parts = np.split(np.arange(1700), [200, 500, 1400])
    names = ("members", "nonmembers", "reference", "test")
    return {n: (images[i], labels[i]) for n, i in zip(names, parts, strict=True)}


@pytest.fixture(scope="module")
def network(real):
    return classifier.train(*real["reference"], 10, seed=0, steps=80)


def fresh(real, noise=0.0):
    images, labels = real["nonmembers"]
    moved = images + noise * np.random.default_rng(0).standard_normal(images.shape)
    return np.clip(moved, 0, 255).astype(np.uint8), labels


def swapped(pair):
    return pair[0], (pair[1] + 1) % 10


@pytest.fixture(scope="module")
def found(real, network, tmp_path_factory):
    lines = []
    more = {"budget": (1.0, 1e-3), "network": network, "cache": tmp_path_factory.mktemp("kept")}
    rivals = {"rival": fresh(real, 150.0)}
    rows = protocols.rows(real, fresh(real), rivals, 10, progress=lines.append, **more)
    assert len(lines) == 6
    return rows


def value(rows, row, name="accuracy"):
    return rows[row][name]["value"]


def test_all_rows_are_there_and_whole(found, real):
    assert list(found) == ROWS
    for name, row in found.items():
        assert list(row) == [*metrics.UTILITY, "recall"]
        n = len(real["nonmembers" if name == "label_fidelity" else "test"][1])
        assert (row["accuracy"]["n"], list(row["recall"])) == (n, [str(k) for k in range(10)])


def test_the_rows_stand_in_the_order_that_is_known(found):
    assert value(found, "all_real") >= value(found, "members") > value(found, "rival")
    assert value(found, "synthetic") > value(found, "rival") + 0.1  # noise costs
    assert value(found, "label_fidelity") > 0.9 < value(found, "reference")
    assert value(found, "linear_members") > value(found, "private_classifier") + 0.05
    assert value(found, "private_classifier") > 0.2


def test_swapped_labels_are_told_by_label_fidelity(real, network):
    (images, right), (_, wrong) = fresh(real), swapped(fresh(real))
    half = images, np.where(np.arange(300) < 150, wrong, right)
    worse = protocols._tested([network], half, 10, 0)
    assert 0.4 < worse["accuracy"]["value"] < 0.55
    assert worse["ece"]["value"] > 0.3


def test_floors_come_from_the_cache_and_one_pixel_changes_them(real, tmp_path, monkeypatch):
    trained = []

    def train_and_test(train, test, n_classes, **_):  # what it says depends on every pixel
        trained.append(len(train[0]))
        rng = np.random.default_rng([train[0].sum(), test[0].sum()])
        return metrics.judge(rng.dirichlet(np.ones(10), (1, len(test[1]))), test[1], rng)

    def judged(**changed):
        trained.clear()
        return protocols.rows(real | changed, fresh(real), {}, 10, cache=tmp_path), list(trained)

    def other_pixel(pair):
        images = pair[0].copy()
        images[7, 3, 3, 0] ^= 1
        return images, pair[1]

    monkeypatch.setattr(metrics, "train_and_test", train_and_test)
    first, everything = judged()
    assert everything == [300, 200, 1400, 500]
    assert "private_classifier" not in first
    again, newly = judged()
    assert newly == [300, 500]  # what holds synthetic images is never kept
    assert (again, len(list(tmp_path.iterdir()))) == (first, 3)
    for name in ("members", "test"):
        changed, newly = judged(**{name: other_pixel(real[name])})
        assert newly == everything
        assert changed["members"] != first["members"]
    monkeypatch.setattr(protocols, "_code", lambda: {"code": "changed"})
    assert judged()[1] == everything


def test_full_has_three_seeds_of_everything(real, network, monkeypatch):
    seeds = []
    asked = []

    def judge(probabilities, labels, rng):
        asked.append(len(probabilities))
        return {}

    monkeypatch.setattr(metrics, "judge", judge)
    monkeypatch.setattr(classifier, "_train", lambda data, k, seeds, steps: [network] * len(seeds))
    blank = {"kernel": np.zeros((64, 10), np.float32)}

    def choose(prior, n, n_classes, eps, delta, shape):
        return private_classifier.Way(
            "blank",
            lambda images, labels, units, secret: seeds.append((eps, delta, secret)) or blank,
            lambda params, images: np.zeros((len(images), 10)),
        )

    monkeypatch.setattr(private_classifier, "choose", choose)
    secret = jax.random.key(7)
    full = {"budget": (2.0, 1e-3), "protocol": "full", "network": network, "secret": secret}
    protocols.rows(real, fresh(real), {}, 10, **full)
    assert asked == [3, 3, 3, 3, 3, 3, 3, 1, 1]  # the linear probe has no seed
    assert [budget for *budget, _ in seeds] == [[2.0, 1e-3]] * 3
    assert len({jax.random.key_data(key).tobytes() for *_, key in seeds}) == 3


def reason(row):
    (only,) = {m["reason"] for m in (*row["recall"].values(), row["accuracy"], row["brier"])}
    return only


def test_what_cannot_be_asked_says_why(real):
    nothing = np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int32)
    poor = dict.fromkeys(real, nothing) | {"test": real["test"]}
    rows = protocols.rows(poor, fresh(real), {}, 10, budget=(1.0, 1e-3))
    assert "no training image" in reason(rows["members"])
    assert "no training image" in reason(rows["linear_members"])
    assert "no training image" in reason(rows["private_classifier"])
    assert "too few unseen real images" in reason(rows["label_fidelity"])
    few = real["members"][0][:40], real["members"][1][:40]
    assert "delta" in reason(protocols._private(few, real["test"], 10, (1.0, 0.5), [0]))


def test_a_group_counts_as_one_for_the_private_classifier(real, calls_of):
    """Of 40 images in 20 groups n is 20; a public n that was named stays."""
    units = np.arange(40).reshape(20, 2), np.full(20, 2)
    few = real["members"][0][:40], real["members"][1][:40]
    chosen = calls_of(private_classifier, "choose")
    for n in (None, 25):
        row = protocols._private(few, real["test"], 10, (1.0, 1e-3), [0], units, n=n)
        assert row["accuracy"]["value"] is not None
    assert [call.args[1] for call in chosen] == [20, 25]
