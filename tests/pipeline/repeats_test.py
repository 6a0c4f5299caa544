"""fpu/pipeline/repeats.py: other runs at the same settings, from draws of the release and from nothing else."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from quick_run import TINY

from fpu.pipeline import generator, jobs, repeats
from fpu.pipeline.settings import Options

pytestmark = pytest.mark.usefixtures("plain")


def job(**flags):
    return jobs.prepare(Options(**({"model": "gaussian", "eps": 8.0, "n_per_class": 3} | flags)))


@functools.cache
def released():
    return generator.one_shot(job(), jax.random.key(3))


def sets(of):
    labels = np.arange(20, dtype=np.int32) % 10
    return list(repeats.sets(of, released().sample, labels, jax.random.key(4), jax.random.key(0)))


def test_each_is_a_run_with_noise_of_its_own():
    made = sets(job())
    assert len(made) == repeats.DEFAULT
    assert {(x.shape, x.dtype.name) for x in made} == {((20, 8, 8, 1), "uint8")}
    assert len({x.tobytes() for x in made}) == repeats.DEFAULT


def test_they_are_made_of_draws_of_the_release_and_see_no_image():
    of = job(repeats=2)
    blank = dataclasses.replace(of.dataset, images=np.zeros_like(of.dataset.images))
    for one, other in zip(sets(of), sets(of._replace(dataset=blank)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_how_many_depends_on_what_they_cost():
    vae = {"model": "vae", "set": TINY, "draw_steps": 3}
    for of, wanted in (
        (job(), repeats.DEFAULT),
        (job(repeats=0), 0),
        (job(repeats=3), 3),
        (job(eps=math.inf), 0),
        (job(**vae), repeats.DEFAULT),  # taught by draws of one release
        (job(**vae, warmup_share=0.5, steps=2), 0),  # DP-SGD: as costly as the run
    ):
        assert repeats.count(of) == wanted


def test_a_model_is_trained_again_only_where_that_is_asked_for(monkeypatch, calls_of):
    trained = calls_of(repeats.train, "train")
    monkeypatch.setattr("fpu.training.warmup.DRAWS", 200)
    flags = {"model": "vae", "set": TINY, "draw_steps": 2}
    assert len(sets(job(**flags))) == repeats.DEFAULT
    assert not trained
    assert (len(sets(job(**flags, repeats=2))), len(trained)) == (2, 2)
