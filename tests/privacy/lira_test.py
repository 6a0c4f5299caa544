"""fpu/privacy/lira.py: masks by their properties, ratios against scipy.stats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fpu.privacy import lira


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_each_unit_is_in_half_of_the_shadows_and_each_holds_half_of_the_units(n, pairs, seed):
    found = lira.masks(n, 2 * pairs, np.random.default_rng(seed))
    assert (found.dtype, found.shape) == (bool, (2 * pairs, n))
    assert (found.sum(0) == pairs).all()
    assert set(found.sum(1).tolist()) <= {n // 2, n - n // 2}


def test_halves_are_uniform_and_pairs_independent():
    found = lira.masks(6, 20_000, np.random.default_rng(0))[::2]
    together = (found[:, :, None] & found[:, None, :]).mean(0)
    wanted = np.where(np.eye(6, dtype=bool), 1 / 2, 1 / 5)  # (3 choose 2) / (6 choose 2)
    np.testing.assert_allclose(together, wanted, atol=0.02)
    assert abs((found[:-1, 0] & found[1:, 0]).mean() - 1 / 4) < 0.02


def test_an_odd_number_of_shadows_is_refused():
    with pytest.raises(ValueError, match="3 is odd"):
        lira.masks(4, 3, np.random.default_rng(0))


def drawn(shadows, n, gap, rng):
    """Scores of `n` units, of mean and, where inside, `gap` more; (target, shadow, inside)."""
    easy = rng.normal(0, 5, n)
    inside = lira.masks(n, shadows, rng)
    shadow = easy + gap * inside + rng.normal(size=(shadows, n))
    return easy + gap * (np.arange(n) < n // 2) + rng.normal(size=n), shadow, inside


@pytest.mark.parametrize("shadows", [4, 62, 64, 80])
def test_a_ratio_is_what_two_normal_densities_say(shadows):
    target, shadow, inside = drawn(shadows, 7, 2.0, np.random.default_rng(shadows))
    wanted = []
    for unit in range(7):
        logs = []
        for side in (inside, ~inside):
            deviations = [shadow[side[:, u], u].std(ddof=1) for u in range(7)]
            own = deviations[unit] if shadows >= 64 else np.sqrt(np.mean(np.square(deviations)))
            logs.append(stats.norm.logpdf(target[unit], shadow[side[:, unit], unit].mean(), own))
        wanted.append(logs[0] - logs[1])
    np.testing.assert_allclose(lira.ratio(target, shadow, inside), wanted, rtol=1e-9)


def test_constant_scores_tell_nothing_and_perfect_ones_stay_finite():
    inside = lira.masks(6, 8, np.random.default_rng(0))
    np.testing.assert_array_equal(lira.ratio(np.full(6, 3.0), np.full((8, 6), 3.0), inside), 0.0)
    np.testing.assert_array_equal(lira.ratio(np.zeros(6), np.zeros((8, 6)), inside), 0.0)
    member = np.arange(6) < 3
    sure = lira.ratio(1.0 * member, 1.0 * inside, inside)
    assert np.isfinite(sure).all()
    assert sure[member].min() > 1e6 > -1e6 > sure[~member].max()


def test_a_score_that_is_no_number_gives_none():
    target, shadow, inside = drawn(8, 6, 1.0, np.random.default_rng(5))
    for bad in (np.nan, np.inf):
        broken = target.copy()
        broken[2] = bad
        found = lira.ratio(broken, shadow, inside)
        assert np.isnan(found[2])
        assert np.isfinite(np.delete(found, 2)).all()
    shadow[1, 4] = np.nan
    assert np.isnan(lira.ratio(target, shadow, inside)[4])
    # Of so many shadows each has a variance of its own.
    target, shadow, inside = drawn(64, 8, 1.0, np.random.default_rng(5))
    for bad in (np.nan, np.inf):
        shadow[1, 4] = bad
        assert np.isfinite(np.delete(lira.ratio(target, shadow, inside), 4)).all()


def test_one_shadow_on_a_side_is_refused():
    with pytest.raises(ValueError, match="two shadows with it and two without"):
        lira.ratio(np.zeros(4), np.zeros((2, 4)), lira.masks(4, 2, np.random.default_rng(0)))
