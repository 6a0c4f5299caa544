"""fpu/pipeline/planning.py: a budget at which nothing can be learned is said to be one, others are not."""

import math

import pytest

from fpu.dp.plan import DPSGD, Plan, Release
from fpu.pipeline import planning


@pytest.mark.parametrize(
    ("eps", "delta", "n", "hopeless"),
    [
        (1.0, 1 / 5000, 500, False),
        (0.3, 1 / 12000, 1200, False),
        (1e-9, 1 / 5000, 500, True),
        (0.01, 1 / 5000, 500, True),
        (1.0, 1e-14, 20, True),
        (1.0, 1e-14, 60_000, False),
    ],
)
def test_tiny_budgets_are_told_apart_from_usable_ones(eps, delta, n, hopeless):
    line = planning.hopeless(planning.solved(eps, delta), n, 10)
    assert (line is not None) == hopeless
    assert not hopeless or ("nothing can be learned" in line and "--eps" in line)


def test_the_number_is_the_total_variation_of_a_whole_class():
    # 4 members at sigma 20: 0.2-GDP; 2 Phi(0.1) - 1 = 0.0797
    line = planning.hopeless(Plan(0.1, (Release(20.0),)), 40, 10)
    assert "more than 8 percentage points" in line
    assert "all 4 members" in line
    assert planning.hopeless(Plan(0.1, (Release(20 * math.sqrt(2)),) * 2), 40, 10) == line


def test_dpsgd_and_no_mechanism():
    assert planning.hopeless(Plan(0.1, ()), 40, 10) is None
    tiny = DPSGD(100, 0.01, 1, 50.0, 20)
    assert "nothing can be learned" in planning.hopeless(Plan(0.1, (tiny,)), 100, 10)
    assert planning.hopeless(Plan(0.1, (DPSGD(1000, 0.1, 1000, 1.0, 300),)), 1000, 10) is None
