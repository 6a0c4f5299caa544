"""fpu/report/compare.py: matched settings, pairs, Pareto sets."""

import numpy as np
from fake_records import record, runs
from hypothesis import given
from hypothesis import strategies as st

from fpu.report import compare


def test_settings_differ_by_data_members_noise_and_delta():
    base, other = record(), record("vae")
    assert list(compare.settings([base, other])) == [compare.setting(base)]
    for change in ({"n": 100}, {"eps": 3.0}, {"dataset": "mnist"}):
        assert compare.settings([base, record("vae", **change)]) == {}
    other["privacy"]["delta"] = 1e-5
    assert compare.settings([base, other]) == {}


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=2, max_size=6))
def test_without_error_membership_is_that_of_the_pareto_set(points):
    models = [(np.array([p], float), np.zeros((1, 3))) for p in points]
    for point, share in zip(points, compare.membership(models), strict=True):
        beaten = False
        for other in points:
            beaten |= other != point and all(a >= b for a, b in zip(other, point, strict=True))
        assert share == (not beaten)


def test_membership_is_unsure_where_runs_scatter():
    sure = (np.array([[0.9, 0.9, 0.5]] * 3), np.zeros((3, 3)))
    close = (np.array([[0.89, 0.9, 0.5]] * 3), np.full((3, 3), 0.02))
    first, second = compare.membership([sure, close])
    assert 0.5 < first <= 1
    assert 0.3 < second < 0.95
    worse, better = runs("vae", 1.0, [0.5, 0.6], 0.1), runs("gan", 1.0, [0.9, 0.8], auc=0.3)
    (table,) = compare.pareto([*worse, *better])
    assert [row[:3] for row in table.rows] == [["GAN", "2", "100"], ["VAE", "2", "0"]]
