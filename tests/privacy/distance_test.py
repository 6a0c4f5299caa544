"""fpu/privacy/distance.py: scipy's statistics, known generators, and too little data."""

import numpy as np
from scipy import stats

from fpu.privacy import distance

NAMES = ("ks", "ks_nearer", "ks_farther", "area")


def gamma(n, seed, scale=1.0):
    return scale * np.random.default_rng(seed).gamma(9.0, 1.0, n)


def test_the_statistics_are_scipys_and_the_area_that_of_the_curves():
    for seed, scale in ((0, 1.0), (1, 0.7), (2, 1.5)):
        a, b = np.round(gamma(80, seed, scale), 1), np.round(gamma(60, 9), 1)  # with ties
        out = distance.ecdf(a, b, np.random.default_rng(0))
        for name, alternative in zip(NAMES, ("two-sided", "greater", "less"), strict=False):
            expected = stats.ks_2samp(a, b, alternative=alternative).statistic
            assert abs(out[name]["value"] - expected) < 1e-12
            assert out[name]["low"] <= expected <= out[name]["high"]
        grid = np.linspace(0, 40, 40_001)
        gap = [np.searchsorted(np.sort(side), grid, side="right") / len(side) for side in (a, b)]
        area = np.trapezoid(gap[0] - gap[1], grid) / b.mean()
        assert abs(out["area"]["value"] - area) < 1e-3
        assert out["area"]["low"] < area < out["area"]["high"]
        assert out["area"]["n"] == 60


def test_copies_are_nearer_and_blur_is_farther():
    heldout, rng = gamma(200, 0), np.random.default_rng(0)
    copies = distance.ecdf(np.zeros(100), heldout, rng)
    assert [copies[name]["value"] for name in NAMES] == [1, 1, 0, 1]
    areas = [distance.ecdf(gamma(200, 1, s), heldout, rng)["area"] for s in (0.3, 0.7, 1.0, 1.5)]
    assert (np.diff([a["value"] for a in areas]) < 0).all()
    assert areas[1]["low"] > 0 > areas[3]["high"]
    assert areas[2]["low"] < 0 < areas[2]["high"]


def test_curves_are_short_rise_to_one_and_lie_on_the_ecdf():
    a, b = gamma(500, 0), gamma(300, 1)
    curve = distance.ecdf(a, b, np.random.default_rng(0))["curve"]
    at = np.array(curve["distance"])
    assert 60 <= len(at) <= 64
    assert at[0] == min(a.min(), b.min())
    for name, side in (("synthetic", a), ("heldout", b)):
        np.testing.assert_allclose(curve[name], [np.mean(side <= x) for x in at])
        assert curve[name][-1] == 1
    curve = distance.ecdf(np.ones(50), np.ones(50), np.random.default_rng(0))["curve"]
    assert len(curve["distance"]) == 1


def test_what_distances_cannot_carry_has_a_reason():
    rng = np.random.default_rng(0)
    few, broken = gamma(19, 0), (np.full(30, np.inf), np.full(30, np.nan))
    for a, reason in ((few, "19 synthetic"), *((x, "30 of 120") for x in broken)):
        b = gamma(90, 1)
        out = distance.ecdf(a, b, rng)
        assert out["curve"] is None
        for name in NAMES:
            assert out[name]["value"] is None
            assert reason in out[name]["reason"]
    copied = distance.ecdf(gamma(30, 0), np.zeros(30), rng)
    assert "copy" in copied["area"]["reason"]
    # Some resamples are of copies only.
    nearly = distance.ecdf(gamma(30, 0), np.append(np.zeros(24), 3.0), rng)
    assert "copy" in nearly["area"]["reason"]
    assert copied["ks_farther"]["value"] == 1
