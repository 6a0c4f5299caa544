"""fpu/fidelity/distances.py: distances of 0, and the bias that fd_inf takes off. KID and FD: tests/oracles_test.py."""

import numpy as np
import pytest
from clouds import everywhere, mixture, rng

from fpu import fidelity


def test_frechet_distance_of_singular_covariances():
    flat = np.diag([1.0, 0.0])
    assert fidelity.frechet(np.zeros(2), flat, np.zeros(2), flat) == pytest.approx(0, abs=1e-9)


def test_kid_is_unbiased_where_class_counts_are_equal():
    values = {True: [], False: []}
    for seed in range(40):
        (real, labels), (fake, _) = mixture(2 * seed, each=20), mixture(2 * seed + 1, each=20)
        for known in values:
            values[known].append(everywhere(fidelity.kid, real, fake, labels if known else None))
    mean, error = np.mean(values[True]), np.std(values[True]) / np.sqrt(40)
    assert abs(mean) < 4 * error
    assert np.mean(values[False]) < -10 * error  # what the classes correct


# FD_inf


def gaussians(n, seed, d=16):
    """Real and fake of one distribution, and of FD 1 + d / 25."""
    real, fake = rng(seed).standard_normal((2, n, d))
    far = 1.2 * fake
    far[:, 0] += 1
    return real, fake, far


def test_fd_of_a_set_and_itself_is_not_below_0():
    """Rounding alone would bring it to -7e-12."""
    for seed in range(20):
        rows = np.random.default_rng(seed).normal(size=(30, 20)) * 10.0**seed
        moments = rows.mean(0), np.cov(rows, rowvar=False)
        assert 0 <= fidelity.frechet(*moments, *moments) <= 1e-10 * np.trace(moments[1])


def test_fd_inf_takes_the_bias_off_at_the_smallest_count():
    found = np.zeros((2, 2))
    for seed in range(30):
        real, fake, far = gaussians(64, seed)
        for i, other in enumerate((fake, far)):
            for j, metric in enumerate((fidelity.fd, fidelity.fd_inf)):
                found[i, j] += everywhere(metric, real, other) / 30
    bias = found - np.array([[0], [1 + 16 / 25]])
    assert (bias[:, 0] > 2).all()
    assert abs(bias[:, 1]).max() < 0.2 * bias[:, 0].min()


def test_fd_inf_reads_a_line_through_disjoint_parts():
    real, fake, _ = gaussians(120, 0)

    def part(x, k, parts):  # what a cut of one class is: some rows, each once
        return {tuple(row) for row in x[k::parts]}

    seen = []

    def watch(x, y):
        seen.append((len(x), {tuple(row) for row in x}))
        return 5.0 + 360 / len(x)

    whole = fidelity.distances._fitted
    fidelity.distances._fitted = watch
    try:
        assert everywhere(fidelity.fd_inf, real, fake) == pytest.approx(5)
    finally:
        fidelity.distances._fitted = whole
    assert [n for n, _ in seen] == [120, 60, 60, 40, 40, 40]
    for parts in ([0], [1, 2], [3, 4, 5]):
        assert set.union(*(seen[k][1] for k in parts)) == part(real, 0, 1)


def test_fd_inf_cuts_within_classes():
    real, labels = mixture(0)
    fake, _ = mixture(1)
    by_class = everywhere(fidelity.fd_inf, real, fake, labels)
    in_order = rng(3).permutation(len(labels))
    shuffled = everywhere(fidelity.fd_inf, real[in_order], fake[in_order], labels[in_order])
    assert abs(by_class) < 0.1
    assert abs(shuffled) < 0.1
