import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpu.privacy import bounds

EPS = st.floats(0, 20)
DELTA = st.floats(0, 0.2)


def privacy(eps, delta, relation="replace_one"):
    return {"eps": eps, "delta": delta, "relation": relation}


@given(EPS, DELTA)
def test_ceiling_is_the_area_the_height_and_the_gap_of_the_highest_curve(eps, delta):
    fpr = np.union1d(np.linspace(0, 1, 2001), [(1 - delta) / (1 + math.exp(eps)), 1 - delta])
    tpr = np.array([bounds.highest_tpr(f, eps, delta) for f in fpr])
    got = bounds.ceiling(privacy(eps, delta))
    assert got["auc"] == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-9)
    assert got["advantage"] == pytest.approx(np.max(tpr - fpr), abs=1e-9)
    assert got["tpr_at_1_fpr"] == bounds.highest_tpr(0.01, eps, delta)
    assert got["tpr_at_01_fpr"] == bounds.highest_tpr(0.001, eps, delta)


def test_perfect_privacy_leaves_guessing():
    assert bounds.ceiling(privacy(0, 0)) == pytest.approx(
        {"auc": 0.5, "tpr_at_1_fpr": 0.01, "tpr_at_01_fpr": 0.001, "advantage": 0}
    )


def test_a_very_large_eps_allows_everything_that_delta_and_chance_allow():
    assert bounds.highest_tpr(1e-3, 6280.0, 1e-5) == 1.0
    assert bounds.highest_tpr(0.0, 6280.0, 0.1) == 0.1


@given(EPS)
def test_randomised_response_reaches_the_curve(eps):
    lie = 1 / (1 + math.exp(eps))
    assert bounds.highest_tpr(lie, eps, 0) == pytest.approx(1 - lie)


@pytest.mark.parametrize(("eps", "delta"), [(0.5, 1e-5), (1, 1e-3)])
def test_a_swap_is_two_steps_of_add_or_remove(eps, delta):
    """The worst event, of probability p in the world between, meets the bound with equality."""
    assert bounds.swapped(privacy(eps, delta)) == (eps, delta)
    double_eps, double_delta = bounds.swapped(privacy(eps, delta, "add_or_remove_one"))
    p = 0.3
    most, least = math.exp(eps) * p + delta, (p - delta) * math.exp(-eps)
    assert most == pytest.approx(math.exp(double_eps) * least + double_delta)


@pytest.mark.parametrize("eps", ["inf", math.inf, 1e6])
def test_no_guarantee_has_no_ceiling(eps):
    assert bounds.ceiling(privacy(eps, 1e-5)) is None
