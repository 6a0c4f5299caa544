"""fpu/privacy/attacks.py: curves against scikit-learn, and what an attack must and must not find."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from fpu.privacy import attacks

METRICS = ("auc", "advantage", "tpr_at_1_fpr", "tpr_at_01_fpr")


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
    assert found["tpr_at_1_fpr"]["value"] == pytest.approx(tpr[(250 * fpr + 1) / 251 <= 0.01].max())


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
    assert sum(f["advantage"]["low"] == 0 for f in found) >= 18


@pytest.mark.parametrize("n", [200, 399, 2500])
def test_guessing_finds_as_many_members_as_it_accuses_others(n):
    """The mean true positive rate of noise is at most the false positive rate in its name."""
    rng = np.random.default_rng(n)
    member = np.repeat([True, False], [200, n])
    found = []
    for _ in range(300):
        curves = attacks.curves(rng.normal(size=200 + n), member)
        found.append(attacks._summary(curves(np.ones((1, 200 + n))), n)[0, 2:])
    rates = np.mean(found, axis=0)
    assert 0.004 < rates[0] < 0.0115
    assert rates[1] < 0.0012


def test_a_perfect_attack_keeps_an_honest_width():
    judged = membership(np.ones(100), np.zeros(2000))
    assert judged.pop("roc") == {"fpr": [0, 0, 1], "tpr": [0, 1, 1]}
    assert set(judged) == set(METRICS)
    for found in judged.values():
        assert (found["value"], found["high"]) == (1, 1)
        assert 0.95 < found["low"] < 1
    assert membership(np.zeros(100), np.ones(100))["auc"]["value"] == 0


def test_constant_scores_know_nothing():
    found = membership(np.zeros(120), np.zeros(2000))
    assert (found["auc"]["value"], found["advantage"]["value"]) == (0.5, 0)
    assert found["tpr_at_1_fpr"]["value"] == found["tpr_at_01_fpr"]["value"] == 0
    assert found["roc"] == {"fpr": [0, 1, 1], "tpr": [0, 0, 1]}


def test_what_the_counts_cannot_resolve_is_missing():
    found = membership(*scores(1.0, m=300, n=199))
    assert found["auc"]["value"] > 0.6
    assert found["tpr_at_1_fpr"]["reason"].startswith("199 non-members; 200 are needed")
    found = membership(*scores(1.0, m=50, n=1999))
    assert found["tpr_at_1_fpr"]["n"] == 50
    told = "1999 non-members; 2,000 are needed to see a false positive rate of 0.1 %"
    assert found["tpr_at_01_fpr"]["reason"] == told
    found = membership(*scores(1.0, m=300, n=19))
    told = "300 members and 19 non-members; 20 of each are needed"
    assert {m["reason"] for m in found.values()} == {told}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_missing(bad):
    members, others = scores(1.0)
    members[[4, 7]] = bad
    reason = {"value": None, "reason": "2 of 550 scores are not finite"}
    assert membership(members, others) == dict.fromkeys(METRICS, reason)


def test_the_rate_at_one_in_a_thousand_is_that_of_the_curve():
    members, others = scores(2.0, m=400, n=2500)
    found = membership(members, others)["tpr_at_01_fpr"]
    # One of 2,500 is above it, two are past it.
    assert found["value"] == np.mean(members > np.sort(others)[-2])
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize(
    ("m", "n", "digits"), [(300, 250, 9), (25, 20, 9), (200, 5000, 2), (90, 70, 0)]
)
def test_the_curve_of_the_record_is_short_and_flatters_nobody(m, n, digits):
    members, others = scores(1.0, m=m, n=n, digits=digits)
    roc = membership(members, others)["roc"]
    fpr, tpr = np.array(roc["fpr"]), np.array(roc["tpr"])
    assert len(fpr) == len(tpr) <= 64
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert [round(x, 5) for x in roc["fpr"] + roc["tpr"]] == roc["fpr"] + roc["tpr"]
    truth = np.repeat([1, 0], [m, n])
    full = roc_curve(truth, np.concatenate([members, others]), drop_intermediate=False)
    for f in np.linspace(0, 1, 4001):  # between two points the picture is a straight line
        drawn = np.interp(f, fpr, tpr) if f < 1 and f not in fpr else tpr[fpr <= f].max()
        assert drawn <= full[1][full[0] <= f + 1e-9].max() + 1e-9
    area, true = np.trapezoid(tpr, fpr), roc_auc_score(truth, np.concatenate([members, others]))
    assert area > true - (0.05 if digits else 0.15)


def test_a_unit_has_the_mean_of_its_images():
    found = attacks.means([1.0, 3.0, 5.0], np.array([1, 1, 0]), 2)
    np.testing.assert_array_equal(found, [5.0, 2.0])
