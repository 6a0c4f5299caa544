import math

import pytest

from fpu.report import words


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (1.0, "1"),
        (100, "100"),
        (1234.5, "1,234"),
        (0.12345, "0.123"),
        (0.999999, "1"),
        (-0.0024, "-0.0024"),
        (2e-4, "2e-4"),
        (1.5e-5, "1.5e-5"),
        (0, "0"),
        ("inf", "∞"),
        (math.inf, "∞"),
        (None, "–"),
    ],
)
def test_numbers(x, text):
    assert words.number(x) == text


def test_value_and_interval_are_as_precise_as_the_interval():
    m = {"value": 0.87123, "low": 0.8412, "high": 0.9013, "n": 10}
    assert (words.value(m), words.interval(m)) == ("0.871", "[0.841, 0.901]")
    assert (words.value(m, 100), words.interval(m, 100)) == ("87.1", "[84.1, 90.1]")
    assert words.spoken(m, 100).split() == ["87.1", "%", "[84.1,", "90.1]"]
    assert words.value({"value": 1.0, "low": 1.0, "high": 1.0, "n": 10}) == "1.000"
    assert words.value({"value": None, "reason": ""}) == "–"


def test_names_and_grids():
    assert words.model_name({"model": "ddpm", "warmup_share": 1}) == "DDPM on draws"
    glyphs = {"model": "ddpm", "prior": "glyphs"}
    assert words.model_name(glyphs | {"warmup_share": 1}) == "DDPM on draws of glyphs"
    assert words.model_name(glyphs | {"warmup_share": 0.5}) == "DDPM after a warm-up on glyphs"
    own = {"model": "prior", "prior": "images:/home/x/letters.npz"}
    assert words.model_name(own) == "prior images:letters"
    assert words.model_name({"model": "ddpm", "prior": "none"}) == "DDPM"
    assert words.model_name({"model": "mine", "preset": "paper"}) == "mine (paper preset)"
    assert words.grid(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


def test_what_taught_what_is_one_line():
    run = {"model": "ddpm", "warmup_share": 1.0, "draws": 10_000, "draw_steps": 1000, "steps": None}
    with_prior = run | {"prior": "glyphs", "components": 1}
    told = "-> 10,000 draws -> DDPM, 1,000 steps; no DP-SGD"
    assert words.lineage(run) == f"release of class means and covariances {told}"
    assert words.lineage(with_prior) == f"release of class means in the space of glyphs {told}"
    both = with_prior | {"warmup_share": 0.5, "steps": 100, "components": 12}
    assert words.lineage(both) == (
        "release of a mixture of 12 normals a class in the space of glyphs -> 10,000 draws -> DDPM, 1,000 steps; then "
        "100 steps of DP-SGD"
    )
    told = "DP-SGD; each image made from the code of a draw"
    assert words.lineage(both | {"code": 48}).endswith(told)
    draws = {"model": "prior", "prior": "glyphs", "warmup_share": 0.0}
    assert words.lineage(draws) == "release of class means in the space of glyphs -> draws"
    bright = words.lineage(draws | {"brightness": True})
    assert bright.startswith("release of class means, and of how bright members are, in the space")
    votes = draws | {"model": "pe", "components": 47}
    told = "release of votes for 47 images of glyphs a class, round after round"
    assert words.lineage(votes) == f"{told} -> draws"
    embedded = "release of class means of random features in the space of glyphs -> draws"
    assert words.lineage(votes | {"model": "merf_prior"}) == embedded
    assert words.lineage({"model": "ddpm", "warmup_share": 1}).startswith("release of class means")
    for model in ("copycat", "merf", "ddpm"):
        assert words.lineage({"model": model, "warmup_share": 0.0}) == ""
