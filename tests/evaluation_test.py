"""fpu/evaluation: the baselines whose verdict is known, and data too poor to be judged."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import toy
from refusal import refused

from fpu import evaluation
from fpu.evaluation import evaluate, likeness

pytestmark = pytest.mark.usefixtures("short_training")
TRAINING_STEPS = 100
SETS = ("members", "nonmembers", "reference", "test")
DISTANCES = {"kid", "fd", "fd_inf", "precision", "recall", "density", "coverage", "vendi"}
CONTROL = {"kid_random", "fd_random"}
MEMORISATION = {"near_copies", "authenticity", "data_copying"}
SAMPLES_ONLY = {"nearest", "nearest_calibrated", "monte_carlo", "domias"}


def digits(members=30, nonmembers=30, reference=60, test=45):
    """The digits, with so many of each class in each set."""
    images, labels = toy.digits()
    cuts = np.cumsum([members, nonmembers, reference, test])
    parts = [np.split(np.flatnonzero(labels == k)[: cuts[-1]], cuts[:3]) for k in range(10)]
    sets = [np.sort(np.concatenate(each)) for each in zip(*parts, strict=True)]
    facts = {"name": "digits", "n_classes": 10, "shape": (8, 8, 1), "groups": None}
    dataset = SimpleNamespace(images=images, labels=labels, **facts)
    return dataset, SimpleNamespace(**dict(zip(SETS, sets, strict=True)), notes={})


def release(dataset, index):
    return dataset.images[index], dataset.labels[index]


@pytest.fixture(scope="module")
def copycat():
    dataset, split = digits()

    def scores(images, labels):
        known = {image.tobytes() for image in dataset.images[split.members]}
        knows = np.array([image.tobytes() in known for image in images], float)
        return {"oracle": knows, "broken": np.where(labels == 3, np.nan, knows)}

    return evaluate(dataset, split, *release(dataset, split.members), scores=scores)


@pytest.fixture(scope="module")
def fresh():
    dataset, split = digits()
    return evaluate(dataset, split, *release(dataset, split.nonmembers))


def leaves(tree):
    if "value" in tree:
        yield tree
    else:
        for name, branch in tree.items():
            if name not in ("features", "seconds", "roc", "curve"):
                yield from leaves(branch)


def test_the_record_has_its_form(copycat):
    parts = {"fidelity", "attacks", "distance_to_closest_record", "utility"}
    assert set(copycat) == parts | {"seconds"}
    assert set(copycat["seconds"]) == parts | {"features"}
    assert set(copycat["fidelity"]) == {"synthetic", "real", "features"}
    metrics = DISTANCES | CONTROL | MEMORISATION
    assert set(copycat["fidelity"]["synthetic"]) == set(copycat["fidelity"]["real"]) == metrics
    rows = {"synthetic", "members", "all_real", "members_and_synthetic", "label_fidelity"}
    assert set(copycat["utility"]) == rows | {"reference", "linear_synthetic", "linear_members"}
    assert set(copycat["attacks"]) == SAMPLES_ONLY | {"oracle", "broken"}
    assert json.loads(json.dumps(copycat, allow_nan=False)) == copycat
    for metric in leaves(copycat):
        if metric["value"] is None:
            assert set(metric) == {"value", "reason"}
        else:
            assert set(metric) == {"value", "low", "high", "n"}
            assert metric["low"] <= metric["value"] <= metric["high"]


def test_copycat_is_caught(copycat):
    fidelity = copycat["fidelity"]["synthetic"]
    assert (fidelity["near_copies"]["value"], fidelity["authenticity"]["value"]) == (1, 0)
    assert fidelity["data_copying"]["high"] < -5
    assert copycat["distance_to_closest_record"]["area"]["value"] == 1
    assert copycat["attacks"]["nearest"]["auc"]["value"] > 0.99
    assert copycat["attacks"]["nearest"]["tpr_at_1_fpr"]["value"] > 0.99
    assert copycat["utility"]["synthetic"] == copycat["utility"]["members"]


def test_scores_of_the_model_are_attacks(copycat):
    assert copycat["attacks"]["oracle"]["auc"]["value"] == 1
    assert "not finite" in copycat["attacks"]["broken"]["auc"]["reason"]


def test_fresh_images_pass_every_test(fresh):
    synthetic, real = fresh["fidelity"]["synthetic"], fresh["fidelity"]["real"]
    assert synthetic["kid"]["low"] < 0.01
    assert synthetic["near_copies"]["value"] < 0.05
    assert real["near_copies"]["low"] <= 0.02
    for name in ("precision", "recall", "coverage"):
        assert synthetic[name]["high"] > 0.9
    attack = fresh["attacks"]["nearest"]["auc"]  # against the reference: the non-members are out
    assert attack["low"] <= 0.5 <= attack["high"]


def test_real_line_and_synthetic_are_of_equal_counts(fresh):
    rows = fresh["fidelity"]
    for name in (DISTANCES | CONTROL) - {"vendi"}:
        assert rows["synthetic"][name]["n"] == rows["real"][name]["n"] == 300
    assert rows["features"] == {"network": "domain", "n_reference": 600}


def test_noise_is_seen_and_the_same_seed_repeats_it(fresh):
    dataset, split = digits()
    noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    labels = dataset.labels[split.nonmembers]
    lines = []
    found = evaluate(dataset, split, noise, labels, progress=lines.append)
    assert found["fidelity"]["synthetic"]["kid"]["low"] > fresh["fidelity"]["real"]["kid"]["high"]
    assert found["fidelity"]["synthetic"]["coverage"]["value"] < 0.5
    assert found["utility"]["synthetic"]["accuracy"]["value"] < 0.4
    assert found["utility"]["members"] == fresh["utility"]["members"]
    assert found["fidelity"]["real"] == fresh["fidelity"]["real"]
    assert lines[0] == "feature network on 600 reference images"
    assert "attacks on 300 members and 300 non-members" in lines
    assert found["utility"]["label_fidelity"]["accuracy"]["value"] < 0.3


def test_poor_data_give_reasons_and_random_features():
    dataset, split = digits(members=5, nonmembers=5, reference=5, test=6)
    constant = np.zeros((60, 8, 8, 1), np.uint8), np.repeat(np.arange(6), 10)
    found = evaluate(dataset, split, *constant)
    assert found["fidelity"]["features"]["network"] == "random"
    for row in ("synthetic", "real"):
        for name in DISTANCES | {"near_copies"}:
            assert found["fidelity"][row][name]["value"] is None
    assert "all images are the same" in found["fidelity"]["synthetic"]["authenticity"]["reason"]
    assert found["attacks"]["nearest"]["tpr_at_1_fpr"]["value"] is None
    assert found["utility"]["members"]["accuracy"]["value"] > 0.5


def test_a_data_set_with_nothing_to_compare_with_is_not_an_error():
    dataset, split = digits(nonmembers=0, reference=0)
    images, labels = release(dataset, split.members)
    found = evaluate(dataset, split, images[labels > 0], labels[labels > 0])
    assert found["fidelity"]["features"] == {"network": "random", "n_reference": 0}
    assert found["fidelity"]["synthetic"]["kid"]["n"] == 270
    assert found["fidelity"]["real"]["kid"]["reason"].startswith("0 unseen real images")
    assert found["fidelity"]["synthetic"]["near_copies"]["value"] is None
    assert found["attacks"]["nearest"]["auc"]["reason"].startswith("0 members and 0 non-members")
    assert found["utility"]["synthetic"]["accuracy"]["value"] is not None


def in_groups(dataset, split, size=3):
    """The same data in groups of `size` images of one class, none across two sets; test has none."""
    groups = np.full(len(dataset.labels), -1, np.int32)
    for index in (split.members, split.nonmembers, split.reference):
        for k in range(10):
            mine = index[dataset.labels[index] == k]
            groups[mine] = groups.max() + 1 + np.arange(len(mine)) // size
    return SimpleNamespace(**vars(dataset) | {"groups": groups})


def attack(dataset, split, scores=None, say=lambda line: None, shadows=None):
    """The attacks alone, on a release of the members."""
    released = release(dataset, split.members)
    return evaluation.attacked(dataset, split, released, scores, shadows, 0, "quick", say)


def test_attacks_on_groups_are_on_the_mean_of_a_group():
    dataset, split = digits()
    grouped, lines = in_groups(dataset, split), []
    known = {image.tobytes() for image in dataset.images[split.members]}
    seen = []

    def scores(images, labels):
        seen.append(len(images))
        knows = np.array([image.tobytes() in known for image in images], float)
        noise = np.random.default_rng(0).normal(0, 1.5, len(images))
        fifth = np.arange(len(images)) == 4
        return {"noisy": knows + noise, "broken": np.where(fifth, np.nan, 0.0)}

    alone, together = (attack(d, split, scores, lines.append) for d in (dataset, grouped))
    whole, grouped = "300 members and 300 non-members", "100 members and 100 non-members (groups)"
    assert lines == [f"attacks on {whole}", f"attacks on {grouped}"]
    assert seen == [600, 600]  # every image of every group
    assert together["nearest"]["auc"]["value"] > 0.99
    assert (alone["noisy"]["auc"]["n"], together["noisy"]["auc"]["n"]) == (300, 100)
    # Noise averages out.
    assert together["noisy"]["auc"]["value"] > alone["noisy"]["auc"]["value"] + 0.05
    wide = [row["noisy"]["auc"]["high"] - row["noisy"]["auc"]["low"] for row in (alone, together)]
    assert wide[1] > 1.1 * wide[0]  # a third of the units
    assert together["broken"]["auc"]["reason"] == "1 of 200 scores are not finite"


def test_a_group_that_was_trained_on_or_is_unknown_is_no_nonmember():
    dataset, split = digits()
    grouped = in_groups(dataset, split)
    straddling = grouped.groups.copy()
    straddling[split.nonmembers[:280]] = straddling[split.members[0]]
    unknown = np.where(np.isin(np.arange(len(straddling)), split.nonmembers), -1, straddling)
    for groups in (straddling, unknown):
        found = attack(SimpleNamespace(**vars(grouped) | {"groups": groups}), split)
        assert "groups of non-members; 20 of each are needed" in found["nearest"]["auc"]["reason"]


def test_large_groups_are_sampled(monkeypatch):
    monkeypatch.setattr(evaluation, "_ATTACKED", {"quick": 60})
    dataset, split = digits()
    grouped, seen = in_groups(dataset, split, size=10), []

    def scores(images, labels):
        seen.append(len(images))
        return {}

    assert attack(grouped, split, scores)["nearest"]["auc"]["n"] == 30
    assert seen == [2 * 30 * 2]  # two of ten images of 30 groups on each side


def test_the_feature_network_never_sees_what_is_compared():
    dataset, split = digits(nonmembers=10, reference=80)
    real = {name: release(dataset, getattr(split, name)) for name in SETS}
    synthetic = real["members"]
    fake, test, line, reference = likeness.compared(np.random.default_rng(0), real, synthetic, 10)
    assert np.bincount(test[1]).tolist() == [30] * 10
    for each in (fake, line):
        assert np.array_equal(each[1], test[1])
    known = {image.tobytes() for image in reference[0]}
    assert len(reference[0]) == 10 * (80 - 20)
    assert not any(image.tobytes() in known for image in line[0])


def test_shadow_models_attack_the_targets_of_the_others():
    dataset, split = digits()
    asked = []

    def shadows(chosen, scores):
        asked.append((chosen, scores))
        return {"lira_flat": np.arange(len(chosen.index)) < chosen.n_members}

    def flat(images, labels):
        return {"flat": np.zeros(len(labels))}

    found = attack(dataset, split, flat, shadows=shadows)
    ((chosen, scores),) = asked
    assert scores is flat
    assert np.isin(chosen.index[: chosen.n_members], split.members).all()
    assert (found["flat"]["auc"]["value"], found["lira_flat"]["auc"]["value"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("shape", "labels", "words"),
    [
        ((4, 8, 8, 1, np.float64), [0] * 4, "float64 [4, 8, 8, 1]; digits needs uint8 [n, 8"),
        ((4, 8, 9, 1, np.uint8), [0] * 4, "resize"),
        ((4, 8, 8, 1, np.uint8), [0] * 3, "one whole number for each of the 4"),
        ((4, 8, 8, 1, np.uint8), [0.0] * 4, "labels are float64"),
        ((4, 8, 8, 1, np.uint8), [10] * 4, "run from 10 to 10; digits has classes 0"),
        ((0, 8, 8, 1, np.uint8), [], "holds no image"),
    ],
)
def test_bad_input_is_one_line(shape, labels, words):
    *shape, kind = shape
    with refused(words):
        evaluate(*digits(), np.zeros(shape, kind), np.array(labels or np.zeros(0, int)))
