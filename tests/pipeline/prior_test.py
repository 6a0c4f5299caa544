"""fpu/pipeline/jobs.py: what a run is depends on what is public, and a row of the file moves it by what is stated."""

import dataclasses
import functools
from unittest import mock

import jax
import numpy as np
import pytest
import tiny_prior

from fpu import InputError, models
from fpu.dp import moments
from fpu.dp.plan import Release
from fpu.pipeline import generator, groups, jobs
from fpu.pipeline.settings import Options
from fpu.training.checkpoint import fingerprint

ROWS = 30


def rows(seed=0):
    """(images, labels), two classes."""
    images = np.random.default_rng(seed).integers(0, 256, (ROWS, 8, 8), np.uint8)
    return images, np.arange(ROWS) % 2


def job(folder, images, labels, **flags):
    """The job of a file of these rows, with or without a test split."""
    folder.mkdir()
    tests = flags.pop("tests", False)
    more = {"test_images": rows(1)[0], "test_labels": rows(1)[1]} if tests else {}
    np.savez(folder / "scans.npz", train_images=images, train_labels=labels, **more)
    options = {"model": "gaussian", "eps": 1.0, "dataset": str(folder / "scans.npz")}
    with mock.patch.object(jobs, "_compilation_cache"):
        return jobs.prepare(Options(**(options | flags)))


def public(job):
    """All that a plan and the settings of a run say, but for the path and the members' hash."""
    private = ("dataset", "sha256_members")
    return job.plan, {k: v for k, v in job.config.items() if k not in private}


def sums(job, noised=None):
    """The sums of a release before noise, [(sum, std)], and what stood for the noised ones.

    noised: of another world, to be given out instead: the sums of both worlds are then those of one path of
    an adaptive mechanism.
    """
    seen, given = [], iter(noised or ())

    def spy(exact, key, std):
        out = next(given) if noised else real(exact, key, std)
        seen.append((np.concatenate([np.ravel(x) for x in exact]), std, out))
        return out

    real = moments._noised
    with mock.patch.object(moments, "_noised", spy):
        generator.one_shot(job, jax.random.key(3))
    return seen


def moved(job, other):
    """The distance between two worlds in units of the plan's noise multiplier: 1 is one contribution."""
    here = sums(job)
    there = sums(other, [out for _, _, out in here])
    assert len(here) == len(there)
    total = sum(
        np.square((a - b) / std).sum() for (a, std, _), (b, _, _) in zip(here, there, strict=True)
    )
    return job.plan.stages[0].noise_multiplier * total**0.5


@pytest.mark.parametrize("tests", [True, False])
@pytest.mark.parametrize("n_per_class", [0, 5])
def test_worlds_with_a_row_less_differ_by_what_is_stated(tmp_path, n_per_class, tests):
    """All members under a public n: one contribution. A number of each class: two, of an exchange."""
    images, labels = rows()
    flags = {"n_per_class": n_per_class, "n_public": None if n_per_class else ROWS, "tests": tests}
    make = functools.partial(job, **flags)
    whole = make(tmp_path / "whole", images, labels)
    distances = []
    for row in range(4):
        less = make(tmp_path / str(row), np.delete(images, row, 0), np.delete(labels, row))
        assert public(less) == public(whole)
        distances.append(moved(whole, less))
    bound = 2 if n_per_class else 1
    assert max(distances) <= bound * (1 + 1e-6)
    assert max(distances) > 0.2  # it was a member


def test_worlds_in_another_order_are_one(tmp_path):
    images, labels = rows()
    order = np.random.default_rng(0).permutation(ROWS)
    one, other = (
        job(tmp_path / name, images[i], labels[i], n_per_class=5)
        for name, i in (("one", np.arange(ROWS)), ("other", order))
    )
    assert public(one) == public(other)
    assert moved(one, other) < 1e-6


def test_another_label_is_a_row_less_and_a_row_more(tmp_path):
    images, labels = rows()
    whole = job(tmp_path / "whole", images, labels, n_per_class=5)
    for row in range(4):
        changed = labels ^ (np.arange(ROWS) == row)
        other = job(tmp_path / str(row), images, changed, n_per_class=5)
        assert public(other) == public(whole)
        assert moved(whole, other) <= 4


def test_a_public_number_enters_wherever_n_does(tmp_path):
    images, labels = rows()
    flags = {"model": "vae", "n_per_class": 0, "tests": True, "steps": 5, "sample_rate": 0.5}
    named = job(tmp_path / "named", images, labels, n_public=40, **flags)
    assert (named.n, named.plan.sgd().n, named.plan.sgd().denominator) == (40, 40, 20)
    assert named.plan.delta == 1 / 400
    assert named.task(*jax.random.split(jax.random.key(0), 3)).n == 40
    counted = job(tmp_path / "counted", images, labels, **flags)
    assert (counted.n, counted.plan.sgd().n, counted.plan.delta) == (ROWS, ROWS, 1 / (10 * ROWS))
    with pytest.raises(InputError, match="--n_public=29: 30 members were listed"):
        job(tmp_path / "fewer", images, labels, n_public=29, **flags)


def test_a_private_run_is_not_refused_for_what_its_images_hold(tmp_path, capsys):
    images, labels = rows()
    job(tmp_path / "private", np.full_like(images, 7), labels, n_per_class=0, tests=True)
    assert "the same image" in capsys.readouterr().err
    flags = {"model": "vae", "eps": np.inf, "n_per_class": 0, "tests": True}
    with pytest.raises(InputError, match="the same image"):
        job(tmp_path / "not", np.full_like(images, 7), labels, **flags)


# Which prior a run has, and how its name and version are told.

ON_DRAWS = Options(model="vae", eps=5.0, n_per_class=10, set=("model.size=tiny",))


@pytest.fixture
def squares(monkeypatch):
    """auto is a prior that takes no time."""
    tiny_prior.install(monkeypatch)


def config_of(**change):
    return jobs.prepare(dataclasses.replace(ON_DRAWS, **change)).config


def test_auto_is_the_public_rule_and_its_version_stands_in_the_config(squares):
    job = jobs.prepare(ON_DRAWS)
    assert (job.config["prior"], job.config["prior_version"]) == ("squares", "1")
    assert (job.config["draws"], job.config["components"]) == (10_000, 1)
    assert job.prior is not None
    assert job.prior.name == "squares"
    assert isinstance(job.plan.stages[0], Release)


@pytest.mark.parametrize(
    "change",
    [
        {"prior": "none"},
        {"preset": "paper", "draw_steps": 3},
        {"warmup_share": 0.0},
        {"eps": float("inf")},
        {"model": "gaussian", "set": ()},
        {"model": "copycat", "eps": None, "set": ()},
    ],
)
def test_there_is_no_prior_where_none_is_asked_for_or_there_is_no_release(squares, change):
    job = jobs.prepare(dataclasses.replace(ON_DRAWS, **change))
    assert (job.config["prior"], job.config["prior_version"], job.prior) == ("none", None, None)


def test_a_prior_that_is_named_counts_in_the_paper_preset_too(squares):
    assert config_of(preset="paper", draw_steps=3, prior="squares")["prior"] == "squares"


def test_draws_of_a_prior_need_one_and_the_way_out_is_told(monkeypatch):
    with pytest.raises(
        InputError, match=r"--model=prior: no prior is known to fit digits.*--prior="
    ):
        config_of(model="prior", set=())
    tiny_prior.install(monkeypatch)
    assert config_of(model="prior", set=())["prior"] == "squares"


def test_another_version_is_another_run_and_another_group(squares, monkeypatch):
    first = jobs.prepare(ON_DRAWS)
    tiny_prior.install(monkeypatch, version="2")
    second, without = (
        jobs.prepare(dataclasses.replace(ON_DRAWS, prior=p)) for p in ("auto", "none")
    )
    assert len({fingerprint(job.config) for job in (first, second, without)}) == 3
    assert len({groups.program(job) for job in (first, second, without)}) == 3


def test_the_path_of_public_images_is_not_told(squares):
    named = jobs._prior("images:/home/somebody/letters.npz", models.Spec((8, 8, 1), 10), None)
    assert named.name == "images:letters"
