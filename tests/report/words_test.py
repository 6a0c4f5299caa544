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
    point = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 10}
    assert words.value(point) == "1.000"
    assert words.value({"value": None, "reason": ""}) == "–"


def test_names_and_grids():
    assert words.model_name({"model": "ddpm", "warmup_share": 1}) == "DDPM on draws"
    assert words.model_name({"model": "mine", "preset": "paper"}) == "mine (paper preset)"
    assert words.grid(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
