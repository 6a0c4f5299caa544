"""fpu/fidelity/diversity.py: closed forms, the interval."""

import numpy as np
import pytest
from clouds import everywhere, mixture, rng

from fpu import fidelity
from fpu.fidelity.diversity import vendi_error


def score(fake, labels=None):
    return everywhere(fidelity.vendi, fake, fake, labels)


def test_orthogonal_directions_count_as_they_are():
    axes = np.eye(8)[np.arange(40) % 4]
    assert (score(3 * axes), score(np.ones((20, 8)))) == (pytest.approx(4), pytest.approx(1))
    uneven = np.eye(8)[[0] * 30 + [1] * 10]
    assert score(uneven) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_classes_are_averaged_and_rare_ones_left_out():
    a, b = np.eye(8)[np.arange(20) % 2], np.eye(8)[np.arange(40) % 4]
    rare = rng().standard_normal((19, 8))
    labels = np.repeat([0, 1, 2], [20, 40, 19])
    assert score(np.concatenate([a, b, rare]), labels) == pytest.approx(3)


def test_the_standard_error_is_the_spread_over_samples():
    values, errors = [], []
    for seed in range(60):
        fake, labels = mixture(seed, classes=2, each=25, d=6)
        values.append(score(fake, labels))
        errors.append(vendi_error(None, fake, labels))
    assert 0.75 < np.mean(errors) / np.std(values) < 1.3
