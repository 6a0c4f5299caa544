"""fpu/fidelity/manifold.py: loops, the reference implementation's numbers, and the ceiling."""

import numpy as np
import pytest
from clouds import everywhere, mixture, rng, wave

from fpu import fidelity


def prdc_by_loops(real, fake, k=5):
    def norm(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radii(x):
        return [sorted(norm(a, b) for b in x)[k] for a in x]

    r, f = radii(real), radii(fake)
    inside = np.array([[norm(x, y) < r[i] for y in fake] for i, x in enumerate(real)])
    back = np.array([[norm(x, y) < f[j] for j, y in enumerate(fake)] for x in real])
    shares = {"precision": inside.any(0).mean(), "recall": back.any(1).mean()}
    density = inside.sum() / (k * len(fake))
    return shares | {"density": density, "coverage": inside.any(1).mean()}


def test_neighbour_metrics_are_the_loops():
    real, fake = wave(40, 3, 0.0), 1.2 * wave(40, 3, 7.0) + 0.3
    expected = prdc_by_loops(real, fake)
    found = {name: everywhere(fidelity.FIDELITY[name].function, real, fake) for name in expected}
    assert found == pytest.approx(expected)


def test_neighbour_metrics_are_those_of_prdc():
    real, fake = wave(120, 3, 0.0), 1.2 * wave(120, 3, 7.0) + 0.3
    frozen = {  # prdc 0.2, compute_prdc(real, fake, nearest_k=5)
        "precision": 0.525,
        "recall": 0.95,
        "density": 0.385,
        "coverage": 0.6583333333333333,
    }
    found = {name: everywhere(fidelity.FIDELITY[name].function, real, fake) for name in frozen}
    assert found == pytest.approx(frozen)


def test_a_copy_has_density_one():
    real, _ = mixture(0)
    assert everywhere(fidelity.density, real, real) == pytest.approx(1)


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
