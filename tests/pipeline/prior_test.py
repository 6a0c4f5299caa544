"""fpu/pipeline/prior.py: which prior a run has, and how its name and version are told."""

import dataclasses

import pytest
import tiny_prior
from refusal import refused

from fpu import InputError, data, models
from fpu.baselines import OF_PRIOR
from fpu.dp.plan import Release
from fpu.files.cache import fingerprint
from fpu.pipeline import groups, jobs, prior
from fpu.pipeline.settings import Options

ON_DRAWS = Options(model="vae", eps=5.0, n_per_class=10, set=("model.size=tiny",))


@pytest.fixture
def squares(monkeypatch):
    """auto is a prior that takes no time."""
    tiny_prior.install(monkeypatch)


def config(**change):
    return jobs.prepare(dataclasses.replace(ON_DRAWS, **change)).config


def test_auto_is_the_public_rule_and_its_version_stands_in_the_config(squares):
    job = jobs.prepare(ON_DRAWS)
    assert (job.config["prior"], job.config["prior_version"]) == ("squares", "1")
    assert (job.config["draws"], job.config["components"]) == (10_000, 1)
    assert job.prior is not None
    assert job.prior.name == "squares"
    assert isinstance(job.plan.stages[0], Release)


def test_dpsgd_goes_on_from_draws_by_margin_where_members_are_many(squares, monkeypatch):
    share = jobs.defaults.release_share
    assert [share("ddpm", "scans", n) for n in (3499, 3500)] == [1, jobs.defaults.RELEASE_SHARE]
    for other in (("ddpm", "layers"), ("ddpm", "glyphs"), ("ddpm", "none"), ("vae", "scans")):
        assert share(*other, 10**6) == 1
    ddpm = {"model": "ddpm"}
    assert config(**ddpm)["warmup_share"] == 1
    known = {"squares": "scans"}

    def shared(model, prior, n):
        return share(model, known.get(prior, prior), 35 * n)

    monkeypatch.setattr(jobs.defaults, "release_share", shared)
    assert [stage["noise_multiplier"] > 0 for stage in config(**ddpm)["stages"]] == [True, True]
    assert config(**ddpm)["warmup_share"] == jobs.defaults.RELEASE_SHARE
    for change in ({}, ddpm | {"prior": "none"}, ddpm | {"warmup_share": 1.0}):
        assert config(**change)["warmup_share"] == 1


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
    assert config(preset="paper", draw_steps=3, prior="squares")["prior"] == "squares"


@pytest.mark.parametrize("model", OF_PRIOR)
def test_draws_of_a_prior_need_one_and_the_way_out_is_told(model, monkeypatch):
    with refused(f"--model={model}: no prior is known to fit digits", "--prior="):
        config(model=model, set=())
    tiny_prior.install(monkeypatch)
    assert config(model=model, set=())["prior"] == "squares"


def test_another_version_is_another_run_and_another_group(squares, monkeypatch):
    first = jobs.prepare(ON_DRAWS)
    tiny_prior.install(monkeypatch, version="2")
    both = [dataclasses.replace(ON_DRAWS, prior=p) for p in ("auto", "none")]
    second, without = map(jobs.prepare, both)
    assert len({fingerprint(job.config) for job in (first, second, without)}) == 3
    assert len({groups.program(job) for job in (first, second, without)}) == 3


def test_the_path_of_public_images_is_not_told(squares):
    named = prior.load("images:/home/somebody/letters.npz", models.Spec((8, 8, 1), 10), None)
    assert named.name == "images:letters"


def test_the_data_are_not_their_own_public_prior(tmp_path):
    """Draws of images: are images of the prior, pixel for pixel."""
    scans = tmp_path / "scans.npz"
    scans.touch()
    file = str(scans)
    others = file, str(tmp_path / "." / "scans.npz"), str(tmp_path)
    for dataset, what in (("digits", "digits"), *((file, other) for other in others)):
        named = dataclasses.replace(ON_DRAWS, dataset=dataset, prior=f"images:{what}")
        with pytest.raises(InputError, match="public images are other images"):
            prior.chosen(named, data.load("digits"))
    other = dataclasses.replace(ON_DRAWS, prior="images:mnist")
    assert prior.chosen(other, data.load("digits")) == "images:mnist"
