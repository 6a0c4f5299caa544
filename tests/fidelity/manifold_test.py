"""fpu/fidelity/manifold.py: the ceiling of coverage. The metrics: tests/oracles_test.py, and of copies ties_test.py."""

import numpy as np
import pytest
from clouds import everywhere, rng

from fpu import fidelity


def test_the_ceiling_of_coverage_is_its_mean_for_one_distribution():
    for n, m, far in ((60, 60, 0.0), (60, 30, 0.0), (60, 60, 1e3)):
        found = []
        for seed in range(150):
            real, fake = (rng([seed, k]).standard_normal((k, 3)) for k in (n, m + 1))
            fake = fake[:-1] + far  # one more, so that no two seeds are alike
            found.append(everywhere(fidelity.coverage, real, fake))
        mean, error = np.mean(found), np.std(found) / np.sqrt(len(found))
        if far:
            assert mean == 0
        else:
            assert abs(mean - fidelity.coverage_ceiling(n, m)) < 4 * error


def test_the_ceiling_of_coverage_in_special_cases():
    assert fidelity.coverage_ceiling(1000, 1000) == pytest.approx(1 - 2**-5, abs=5e-4)
    assert fidelity.coverage_ceiling(10, 0) == 0
    assert fidelity.coverage_ceiling(5, 7) == 1  # no real image has five others
    assert fidelity.coverage_ceiling(3, 2, k=1) == pytest.approx(1 - 2 / 4)
