"""fpu/pipeline/jobs.py: what is refused once the data are known, before anything is written."""

import jax
import pytest

from fpu import InputError
from fpu.pipeline import jobs
from fpu.pipeline.settings import Options

GOOD = Options(model="gaussian", eps=1.0, n_per_class=10)


def test_sixty_four_bits_are_one_line():
    with jax.enable_x64(True), pytest.raises(InputError, match=r"JAX_ENABLE_X64.*unset it"):
        jobs.prepare(GOOD)


def test_more_images_than_a_run_draws_are_one_line(monkeypatch):
    monkeypatch.setattr(jobs, "_MOST_BYTES", 64 * 1000)
    with pytest.raises(InputError, match=r"--n_samples=1001: .*at most 1000 are drawn"):
        jobs.prepare(Options(model="gaussian", eps=1.0, n_per_class=10, n_samples=1001))
    assert jobs.prepare(GOOD).config["n_samples"] == 1000
