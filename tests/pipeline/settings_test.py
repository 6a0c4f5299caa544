"""fpu/pipeline/settings.py: every bad flag is one line that names it and the way out."""

import dataclasses
import math

import pytest
from refusal import refused

from fpu import InputError, models
from fpu.models import ddpm, vae
from fpu.pipeline import defaults, limits, refusals, settings
from fpu.pipeline.settings import Options
from fpu.training import Recipe
from fpu.utility import protocols

GOOD = Options(eps=1.0)
NO_EPS = {"model": "copycat", "eps": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "ddmp"}, ["--model=ddmp", "did you mean ddpm?"]),
        ({"model": "gausian"}, ["--model=gausian", "did you mean gaussian?"]),
        ({"preset": "papper"}, ["--preset=papper", "did you mean paper?"]),
        ({"evaluation": "ful"}, ["--evaluation=ful", "did you mean full?"]),
        ({"model": "GAN"}, ["--model=GAN", "did you mean gan?"]),
        ({"set": ("model.size=tinny",)}, ["--set=model.size=tinny", "did you mean tiny?"]),
        ({"set": ("data.subset=last",)}, ["--set=data.subset=last", "first"]),
        ({"noise_multiplier": 1.0}, ["--eps and --noise_multiplier", "give one"]),
        ({"eps": None}, ["--eps is missing", "--eps=1"]),
        ({"eps": 0.0}, ["--eps=0", "must be positive"]),
        ({"eps": math.nan}, ["--eps=nan", "must be positive"]),
        ({"model": "copycat"}, ["--model=copycat", "only --eps=inf"]),
        ({"model": "fresh", "eps": None, "noise_multiplier": 1.0}, ["--model=fresh", "--eps=inf"]),
        ({"eps": None, "noise_multiplier": -1.0}, ["--noise_multiplier=-1", "0 or more"]),
        ({"eps": None, "noise_multiplier": math.inf}, ["--noise_multiplier=inf"]),
        ({"clip_norm": 0.0}, ["--clip_norm=0", "positive", "usual is 1"]),
        ({"clip_norm": math.inf}, ["--clip_norm=inf", "finite"]),
        ({"clip_norm": math.nan}, ["--clip_norm=nan"]),
        ({"sample_rate": 0.0}, ["--sample_rate=0", "(0, 1]"]),
        ({"delta": 0.0}, ["--delta=0"]),
        ({"steps": 0}, ["--steps=0", "1 to 10,000,000"]),
        ({"n_samples": 0}, ["--n_samples=0", "1 to 100,000"]),
        ({"audit": "two_worlds:99999"}, ["99999 must be", "at most 10000"]),
        ({"n_per_class": -1}, ["--n_per_class=-1", "0 or more"]),
        ({"seed": -1}, ["--seed=-1", "0 to"]),
        ({"seed": 2**32}, ["--seed=4294967296", "would coincide"]),
        ({"clip_norm": 1e-46}, ["--clip_norm=1e-46", "1e-6"]),
        ({"noise_seed": -1}, ["--noise_seed=-1", "0 or more"]),
        ({"prior": "glyhps"}, ["--prior=glyhps", "did you mean glyphs?"]),
        ({"prior": "glyphs", "model": "gaussian"}, ["--prior=glyphs", "gaussian takes none"]),
        ({"prior": "glyphs", "eps": math.inf}, ["--prior=glyphs", "--eps=inf"]),
        ({"prior": "glyphs", "warmup_share": 0.0}, ["--prior=glyphs", "--warmup_share=0.5"]),
        ({"prior": "glyphs", "eps": None, "noise_multiplier": 1.0}, ["--prior=glyphs", "--eps"]),
        ({"prior": "none", "model": "prior"}, ["--model=prior", "--prior=glyphs"]),
        ({"warmup_share": -0.1}, ["--warmup_share=-0.1", "[0, 1]"]),
        ({"warmup_share": math.nan}, ["--warmup_share=nan", "[0, 1]"]),
        ({"draw_steps": 0}, ["--draw_steps=0"]),
        ({"draw_steps": 5, "warmup_share": 0.0}, ["--draw_steps", "--warmup_share=0"]),
        ({"eps": math.inf, "warmup_share": 1.0}, ["--warmup_share", "--eps=inf"]),
        ({"eps": None, "noise_multiplier": 1.0, "draw_steps": 5}, ["give --eps"]),
        ({"model": "gaussian", "warmup_share": 0.5}, ["--model=gaussian"]),
        ({"warmup_share": 1.0, "steps": 10}, ["--steps", "--warmup_share=0.5"]),
        ({"shadows": 5}, ["--shadows=5: must be even"]),
        ({"shadows": 2}, ["--shadows=2: must be even, and 4 or more"]),
        ({"model": "gaussian", "shadows": 4}, ["--shadows: --model=gaussian"]),
        ({"model": "gaussian", "audit": "one_run"}, ["--audit: --model=gaussian"]),
        ({**NO_EPS, "audit": "samples"}, ["--audit=samples: --model=copycat claims nothing"]),
        ({"audit": "onerun"}, ["did you mean one_run"]),
        ({"audit": "one_run:20"}, ["--audit=one_run:20: one_run has nothing to count"]),
        ({"audit": "two_worlds:9"}, ["two_worlds:9: 9 must be a whole number, 10 or more"]),
        ({"audit": "two_worlds:many"}, ["10 or more"]),
        ({"audit": "paper:2"}, ["=paper:2: the paper's empirical epsilon", "--preset=paper"]),
        ({"repeats": 1}, ["--repeats=1"]),
        ({"folds": 1}, ["--folds=1: must be 0"]),
    ],
)
def test_a_bad_flag_is_refused_in_one_line(change, words):
    with refused(*words):
        refusals.check(dataclasses.replace(GOOD, **change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"eps": math.inf},
        {"eps": None, "noise_multiplier": 0.0},
        {"model": "copycat", "eps": None},
        {"model": "fresh", "eps": math.inf},
        {"model": "gaussian", "n_per_class": 0},
        {"prior": "none", "model": "gaussian"},
        {"prior": "none", "eps": math.inf},
        {"prior": "scans", "warmup_share": 0.5},
        {"prior": "my_simulator:scans", "model": "prior"},
        {"prior": "images:some/public.npz", "model": "prior", "eps": None, "noise_multiplier": 1},
        {"sample_rate": 1.0, "steps": 1, "set": ("model.size=paper",), "preset": "paper"},
    ],
)
def test_good_flags_pass(change):
    refusals.check(dataclasses.replace(GOOD, **change))


def test_set_reaches_model_and_recipe_with_the_types_they_have():
    pairs = ("model.width=64", "model.beta=2", "recipe.learning_rate=1e-2", "model.net=conv")
    model, recipe = settings.override(pairs, vae.Config(), Recipe())
    assert model == vae.Config(width=64, beta=2.0, net="conv")
    assert isinstance(model.beta, float)
    assert recipe == Recipe(learning_rate=0.01)


LIMITED = {"recipe": Recipe(), **{name: models.load(name).Config() for name in models.MODELS}}


@pytest.mark.parametrize("name", LIMITED)
def test_every_field_has_a_limit_that_every_default_keeps(name):
    config = LIMITED[name]
    fields = [field.name for field in dataclasses.fields(config)]
    assert list(models.limits(config)) == fields
    sizes = [config] if name == "recipe" else list(models.load(name).SIZES.values())
    for size in sizes:
        limits.check("model", size)
        if name != "recipe":
            limits.check("model", defaults.warmed(name, size, "layers"))
    for field in fields:
        limit, value = models.limits(config)[field], getattr(config, field)
        assert isinstance(limit[0], str) == isinstance(value, str)
        if isinstance(value, float):
            with pytest.raises(InputError, match="nearest"):
                limits.check("model", dataclasses.replace(config, **{field: math.nan}))


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("model.widht=64", ["--set=model.widht", "did you mean width?"]),
        ("recipe.emma=1", ["--set=recipe.emma", "did you mean ema?"]),
        ("model.width=wide", ["--set=model.width=wide", "is a int"]),
        ("width=64", ["--set=width=64", "model.NAME=VALUE"]),
        ("model.width", ["model.NAME=VALUE"]),
        ("plan.q=1", ["model.NAME=VALUE"]),
        ("model.width=-1", ["--set=model.width=-1: must be 1 to 2,048; the nearest is 1"]),
        ("model.net=resnet", ["--set=model.net=resnet: is unknown", "did you mean unet?"]),
        ("model.schedule=quadratic", ["is unknown", "cosine, linear"]),
        ("model.label_dropout=2", ["must be 0.0 to 1.0; the nearest is 1.0"]),
        ("model.sampling_steps=5000", ["must be 1 to diffusion_steps = 400; the nearest is 400"]),
        ("model.diffusion_steps=0", ["must be 12 to 10,000"]),
        ("recipe.ema=1.5", ["--set=recipe.ema=1.5", "the nearest is 0.999999"]),
        ("recipe.learning_rate=-1", ["--set=recipe.learning_rate=-1.0", "the nearest is 1e-08"]),
        ("recipe.public_learning_rate=nan", ["--set=recipe.public_learning_rate=nan"]),
    ],
)
def test_a_bad_set_is_refused_in_one_line_with_the_nearest(pair, words):
    with refused(*words):
        settings.override((pair,), ddpm.Config(), Recipe())


def test_a_class_without_limits_takes_every_value():
    @dataclasses.dataclass(frozen=True)
    class Config:
        weight: float = 1.0

    assert settings.override(("model.weight=-9",), Config(), None)[0] == Config(-9.0)


def test_the_size_and_the_subset_are_choices_of_set_and_the_last_one_counts():
    pairs = ("model.size=paper", "model.width=64", "model.size=tiny")
    options = Options(set=pairs)
    assert settings.choice(options, "model.size") == "tiny"
    assert settings.choice(options, "data.subset") is None
    assert settings.override(pairs, vae.Config(), Recipe())[0] == vae.Config(width=64)


def test_an_audit_is_a_kind_and_a_count():
    counts = {
        "none": 0,
        "one_run": 0,
        "two_worlds": 0,
        "two_worlds:20": 20,
        "paper": 1,
        "paper:3": 3,
    }
    for text, count in counts.items():
        assert settings.audit(Options(audit=text)) == (text.partition(":")[0], count)


def test_no_flag_is_both_there_and_gone():
    assert not set(settings.REPLACED) & {field.name for field in dataclasses.fields(Options)}


def test_a_baseline_has_nothing_to_set():
    with pytest.raises(InputError, match=r"--set=model\.width"):
        settings.override(("model.width=64",), None, None)


def test_sampling_labels_come_from_the_flag_or_evenly_from_all_classes():
    assert settings.sampling_labels(None, 3, 7).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert settings.sampling_labels("2,0,0", 3, 6).tolist() == [0, 0, 0, 0, 2, 2]
    for text, word in (("0,3", "from 0 to 2"), ("-1", "from 0 to 2"), ("a", "class numbers")):
        with pytest.raises(InputError, match=word):
            settings.sampling_labels(text, 3, 5)


@pytest.mark.parametrize(
    ("flags", "share"),
    [
        ({"eps": 1.0}, 1.0),
        ({"eps": math.inf}, 0.0),
        ({"noise_multiplier": 1.0}, 0.0),
        ({"eps": 1.0, "steps": 300}, 0.0),  # a DP-SGD of one's own
        ({"eps": 1.0, "preset": "paper"}, 0.0),
        ({"eps": 1.0, "warmup_share": 0.0}, 0.0),
        ({"noise_multiplier": 1.0, "warmup_share": 0.0}, 0.0),
        ({"eps": 1.0, "preset": "paper", "draw_steps": 9}, 1.0),
        ({"eps": 1.0, "steps": 300, "warmup_share": 0.5}, 0.5),
        ({"eps": 1.0, "preset": "paper", "warmup_share": 1.0}, 1.0),
        ({"eps": 1.0, "model": "gaussian"}, 0.0),
    ],
)
def test_the_share_of_a_warm_up_follows_from_flags_alone(flags, share):
    options = settings.Options(**flags)
    refusals.check(options)
    assert settings.warmup_share(options) == share


def test_every_protocol_can_be_asked_for():
    """Named twice, so that the flags of a run are told without importing what trains classifiers."""
    assert tuple(protocols.PROTOCOLS) == settings.EVALUATIONS
