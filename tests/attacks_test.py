"""fpu/privacy/attacks.py: curves against scikit-learn, and what an attack must and must not find."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from fpu.privacy import attacks


def membership(members, others, seed=0):
    return attacks.membership(np.asarray(members), np.asarray(others), np.random.default_rng(seed))


def scores(shift, m=300, n=250, seed=0, digits=9):
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(shift, 1, m), digits), np.round(rng.normal(0, 1, n), digits)


@pytest.mark.parametrize("digits", [9, 0])
def test_the_curve_is_scikit_learns(digits):
    members, others = scores(0.8, digits=digits)
    truth = np.repeat([1, 0], [300, 250])
    joint = np.concatenate([members, others])
    fpr, tpr, _ = roc_curve(truth, joint, drop_intermediate=False)
    found = membership(members, others)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(truth, joint))
    assert found["advantage"]["value"] == pytest.approx((tpr - fpr).max())
    assert found["tpr_at_1_fpr"]["value"] == pytest.approx(tpr[fpr <= 0.01].max())


def test_the_auc_of_two_normals_lies_in_its_interval():
    from scipy.stats import norm

    true = norm.cdf(0.5 / np.sqrt(2))
    inside = 0
    for seed in range(40):
        found = membership(*scores(0.5, seed=seed), seed)["auc"]
        inside += found["low"] <= true <= found["high"]
        assert 0.06 < found["high"] - found["low"] < 0.12
    assert inside >= 34


def test_chance_is_chance():
    found = [membership(*scores(0.0, seed=seed), seed) for seed in range(20)]
    assert sum(f["auc"]["low"] <= 0.5 <= f["auc"]["high"] for f in found) >= 17
    assert sum(f["advantage"]["low"] == 0 for f in found) >= 15


def test_a_perfect_attack_keeps_an_honest_width():
    for found in membership(np.ones(100), np.zeros(100)).values():
        assert (found["value"], found["high"]) == (1, 1)
        assert 0.95 < found["low"] < 1
    assert membership(np.zeros(100), np.ones(100))["auc"]["value"] == 0


def test_constant_scores_know_nothing():
    found = membership(np.zeros(120), np.zeros(120))
    assert found["auc"]["value"] == 0.5
    assert found["advantage"]["value"] == 0
    assert found["tpr_at_1_fpr"]["value"] == 0


def test_what_the_counts_cannot_resolve_is_missing():
    found = membership(*scores(1.0, m=300, n=99))
    assert found["auc"]["value"] > 0.6
    assert found["tpr_at_1_fpr"]["reason"].startswith("99 non-members; 100 are needed")
    found = membership(*scores(1.0, m=300, n=19))
    assert {m["reason"] for m in found.values()} == {
        "300 members and 19 non-members; 20 of each are needed"
    }


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_missing(bad):
    members, others = scores(1.0)
    members[[4, 7]] = bad
    for found in membership(members, others).values():
        assert found == {"value": None, "reason": "2 of 550 scores are not finite"}


def test_nearest_looks_at_the_same_label_and_finds_copies():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    labels = np.array([0, 0, 1, 1, 2, 2])
    synthetic, theirs = images[[0, 2, 3]], np.array([0, 0, 1])
    found = attacks.nearest(images, labels, synthetic, theirs)

    def distance(a, b):
        return np.linalg.norm(images[a].astype(float) - images[b])

    expected = [
        0,  # its own copy
        min(distance(1, 0), distance(1, 2)),
        distance(2, 3),  # its copy has the other label
        0,
        min(distance(4, i) for i in (0, 2, 3)),  # a label that the synthetic set lacks
        min(distance(5, i) for i in (0, 2, 3)),
    ]
    np.testing.assert_allclose(-found, expected, atol=1e-9)
