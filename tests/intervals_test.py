"""fpu/intervals.py: intervals against closed forms and scipy."""

import numpy as np
import pytest
from scipy.stats import binomtest, ks_2samp, sem, t

from fpu import intervals


def mean(x):
    return lambda weights: weights @ x / weights.sum(1)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 20), (13, 40), (40, 40)])
def test_wilson_is_scipys(hits, n):
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(intervals.wilson(hits / n, n), expected, atol=1e-6)


def test_t_interval_is_scipys():
    values = [0.2, 0.4, 0.9]
    found = intervals.t_interval(values)
    expected = t.interval(0.95, 2, np.mean(values), sem(values))
    np.testing.assert_allclose((found["low"], found["high"]), expected)
    assert (found["value"], found["n"]) == (pytest.approx(0.5), 3)
    with pytest.raises(ValueError, match="two values"):
        intervals.t_interval([1.0])


def test_metric_and_missing_are_plain_json():
    plain = {"value": 0.5, "low": 0.0, "high": 1.0, "n": 7}
    assert intervals.metric(np.float32(0.5), np.int64(0), 1, np.int32(7)) == plain
    assert intervals.missing("too few") == {"value": None, "reason": "too few"}


def test_bootstrap_of_a_mean_has_its_standard_error(monkeypatch):
    monkeypatch.setattr(intervals, "_RESAMPLES", 2000)
    x = np.random.default_rng(0).standard_normal(400)
    rng = np.random.default_rng(1)
    value, replicates = intervals.bootstrap(mean(x), np.zeros(400, int), rng)
    assert value == pytest.approx(x.mean())
    assert replicates.std() == pytest.approx(x.std() / 20, rel=0.06)


def test_bootstrap_keeps_the_count_of_each_stratum():
    strata = np.repeat([0, 1, 2], [1, 5, 30])
    counts = strata == np.arange(3)[:, None]
    _, drawn = intervals.bootstrap(lambda w: w @ counts.T, strata, np.random.default_rng(0))
    assert (drawn == [1, 5, 30]).all()
    _, drawn = intervals.bootstrap(lambda w: w, strata, np.random.default_rng(0))
    assert drawn[:, 1:6].std() > 0.5


def test_percentile_interval_covers_its_target():
    inside = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hits = (rng.random(200) < 0.8).astype(float)
        found = intervals.percentile(*intervals.bootstrap(mean(hits), np.zeros(200), rng), n=200)
        inside += found["low"] <= 0.8 <= found["high"]
    assert 88 <= inside <= 100


@pytest.mark.parametrize(("form", "counts"), [("percentile", (50,)), ("reflected", (50, 60))])
def test_a_perfect_score_keeps_an_honest_width(form, counts):
    found = getattr(intervals, form)(1.0, np.ones(500), *counts)
    assert found["high"] == 1.0
    assert found["low"] == pytest.approx(binomtest(50, 50).proportion_ci(method="wilson").low)
    assert intervals.share(1.0, 0.0, 50)["low"] == pytest.approx(found["low"])


def test_reflected_takes_off_the_bias_of_a_maximum():
    found = intervals.reflected(0.05, np.linspace(0.04, 0.13, 500), 500, 400)
    assert (found["low"], found["n"]) == (0.0, 400)
    assert found["high"] == pytest.approx(0.06, abs=0.003)


def test_a_gap_that_chance_reaches_has_an_interval_from_0():
    sure = np.full(500, 0.07)  # resamples that differ by nothing
    edge = np.sqrt(-np.log(0.025) / (2 * 250))
    assert intervals.reflected(edge * 0.99, sure, 500, 500)["low"] == 0.0
    assert intervals.reflected(edge * 1.01, sure, 500, 500)["low"] > 0.0
    rng, false = np.random.default_rng(0), 0
    for _ in range(2000):
        gap = ks_2samp(*rng.normal(size=(2, 300)), alternative="less", method="asymp").statistic
        false += intervals.reflected(gap, np.full(9, gap), 300, 300)["low"] > 0
    assert 0.01 < false / 2000 < 0.032


def test_share_is_never_narrower_than_the_error_or_the_count_say():
    wide, narrow = intervals.share(0.5, 0.1, 1000), intervals.share(0.5, 0.0, 1000)
    assert wide["low"] == pytest.approx(0.5 - 1.96 * 0.1, abs=1e-3)
    assert narrow["low"] == pytest.approx(intervals.wilson(0.5, 1000)[0])
    assert intervals.share(0.99, 0.1, 10)["high"] == 1.0


def test_normal_stops_at_its_floor():
    assert intervals.normal(1.0, 1.0, 9, floor=0.0)["low"] == 0.0
    assert intervals.normal(1.0, 1.0, 9)["low"] == pytest.approx(-0.96, abs=1e-3)


def test_jackknife_of_a_mean_difference_is_the_textbook_error():
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, 240))
        labels = np.zeros(240, int)
        errors.append(
            intervals.jackknife(lambda i, j, x=x, y=y: x[i].mean() - y[j].mean(), labels, rng)
        )
    assert np.mean(errors) == pytest.approx(np.sqrt(2 / 240), rel=0.1)


def test_jackknife_keeps_class_proportions():
    labels = np.repeat([0, 1], [60, 30])
    x = np.where(labels == 0, 0.0, 100.0)  # constant in a class: no error once they are kept
    rng = np.random.default_rng(0)
    assert intervals.jackknife(lambda i, j: x[i].mean() + x[j].mean(), labels, rng) < 1e-9
    assert intervals.jackknife(lambda i, j: x[i].mean(), labels * 0, rng) > 1.0


SCALES = {  # kind: a metric of a number that varies alike
    "share": lambda y: 1 / (1 + np.exp(-y)),
    "right": lambda y: 1 - np.exp(-np.abs(y)),
    "error": lambda y: np.exp(y),
    "square": lambda y: np.sign(y) * y**2,
}


@pytest.mark.parametrize("kind", SCALES)
def test_another_run_lies_in_the_interval_of_another_95_times_in_100(kind):
    rng, inside = np.random.default_rng(0), []
    for _ in range(400):
        made, other, *repeats = SCALES[kind](rng.normal(2.0, 0.3, 7))
        repeats = SCALES[kind](rng.normal(3.0, 0.3, 5))  # of another centre: it does not matter
        own = {"value": made, "low": made, "high": made, "n": 10**6}
        low, high = intervals.another(own, repeats, kind)["another"]
        inside.append(low <= other <= high)
    assert 0.925 < np.mean(inside) < 0.975


def test_the_interval_of_another_run_holds_the_runs_own_and_stays_in_range():
    own = {"value": 0.0, "low": 0.0, "high": 0.06, "n": 100}
    low, high = intervals.another(own, [0.0, 0.0, 0.0], "share")["another"]
    assert (low, high) == (0.0, 0.06)
    low, high = intervals.another(own, [0.0, 0.3, 0.6], "share")["another"]
    assert low == 0.0
    assert 0.9 < high <= 1.0
    below = {"value": -0.1, "low": -0.2, "high": 0.1, "n": 9}
    low, _ = intervals.another(below, [0.1, 1.0], "square")["another"]
    assert low < -0.2
