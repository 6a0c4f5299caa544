"""fpu/pipeline/jobs.py: what a run is depends on what is public, and a row of the file moves it by what is stated."""

import dataclasses
import functools
from unittest import mock

import jax
import numpy as np
import pytest

from fpu import InputError
from fpu.dp import moments
from fpu.pipeline import choices, generator, jobs, workdir
from fpu.pipeline.settings import Options

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


def moved(here, other):
    """The distance of a world to that of the sums `here`, in units of the noise multiplier: 1 is one contribution."""
    there = sums(other, [out for _, _, out in here])
    assert len(here) == len(there)
    both = zip(here, there, strict=True)
    total = sum(np.square((a - b) / std).sum() for (a, std, _), (b, _, _) in both)
    return other.plan.stages[0].noise_multiplier * total**0.5


@pytest.mark.parametrize("tests", [True, False])
@pytest.mark.parametrize("n_per_class", [0, 5])
def test_worlds_with_a_row_less_differ_by_what_is_stated(tmp_path, n_per_class, tests):
    """All members under a public n: one contribution. A number of each class: two, of an exchange."""
    images, labels = rows()
    flags = {"n_per_class": n_per_class, "n_public": None if n_per_class else ROWS, "tests": tests}
    make = functools.partial(job, **flags)
    whole = make(tmp_path / "whole", images, labels)
    here, distances = sums(whole), []
    for row in range(4):
        less = make(tmp_path / str(row), np.delete(images, row, 0), np.delete(labels, row))
        assert public(less) == public(whole)
        distances.append(moved(here, less))
    assert max(distances) <= (2 if n_per_class else 1) * (1 + 1e-6)
    assert max(distances) > 0.2  # it was a member


def test_worlds_in_another_order_are_one(tmp_path):
    images, labels = rows()
    order = np.random.default_rng(0).permutation(ROWS)
    orders = {"one": np.arange(ROWS), "other": order}.items()
    one, other = (job(tmp_path / name, images[i], labels[i], n_per_class=5) for name, i in orders)
    assert public(one) == public(other)
    assert moved(sums(one), other) < 1e-6


def test_another_label_is_a_row_less_and_a_row_more(tmp_path):
    images, labels = rows()
    whole = job(tmp_path / "whole", images, labels, n_per_class=5)
    here = sums(whole)
    for row in range(4):
        changed = labels ^ (np.arange(ROWS) == row)
        other = job(tmp_path / str(row), images, changed, n_per_class=5)
        assert public(other) == public(whole)
        assert moved(here, other) <= 4


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


GOOD = Options(model="gaussian", eps=1.0, n_per_class=10)


@pytest.mark.parametrize("change", [{"warmup_share": 1.0}, {"warmup_share": 0.0}])
def test_few_leaves_are_trained_only_after_draws_taught_all(change):
    few = ("recipe.trained=few",)
    with pytest.raises(InputError, match=r"recipe\.trained=few.*--warmup_share=0\.5"):
        jobs.prepare(Options(model="vae", eps=1.0, set=few, **change))


def test_sixty_four_bits_are_one_line():
    with jax.enable_x64(True), pytest.raises(InputError, match=r"JAX_ENABLE_X64.*unset it"):
        jobs.prepare(GOOD)


def test_more_images_than_a_run_draws_are_one_line(monkeypatch):
    monkeypatch.setattr(choices, "_MOST_BYTES", 64 * 1000)
    with pytest.raises(InputError, match=r"--n_samples=1001: .*at most 1000 are drawn"):
        jobs.prepare(dataclasses.replace(GOOD, n_samples=1001))
    assert jobs.prepare(GOOD).config["n_samples"] == 1000


# What a run chooses where nobody said.


def classes_of(*counts):
    """(images, labels), so many of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), np.uint8), labels


def members(job):
    return np.bincount(job.dataset.labels[job.split.members]).tolist()


def test_a_rare_class_gives_all_and_does_not_throw_the_others_away(tmp_path, capsys):
    scans = classes_of(75, 57, 3)
    everybody = members(job(tmp_path / "all", *scans, n_per_class=0))
    assert 50 < everybody[0] < 70  # about a fifth is the test set
    chosen = job(tmp_path / "default", *scans)
    assert members(chosen) == np.minimum(everybody, 50).tolist()
    assert chosen.config["delta"] == 1 / (10 * sum(members(chosen)))
    assert "all of them are members" in capsys.readouterr().err


def test_the_default_is_what_it_was_where_there_are_enough(tmp_path):
    scans = classes_of(70, 70)
    both = job(tmp_path / "default", *scans), job(tmp_path / "asked", *scans, n_per_class=50)
    np.testing.assert_array_equal(*[each.split.members for each in both])


def test_the_folder_of_a_run_is_named_by_all_its_settings():
    def place(**flags):
        options = Options(**({"model": "gaussian", "eps": 1.0} | flags))
        return workdir.place(jobs.prepare(options)).name

    assert place() == "gaussian-digits-eps1-50each-seed0"
    names = {place(), place(n_samples=70), place(n_samples=80), place(delta=1e-5)}
    assert len(names) == 4
    assert all(name.startswith("gaussian-digits-eps1-50each-seed0") for name in names)
