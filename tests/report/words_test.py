import math

import pytest

from fpu.report import wording


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
    assert wording.number(x) == text


def test_value_and_interval_are_as_precise_as_the_interval():
    m = {"value": 0.87123, "low": 0.8412, "high": 0.9013, "n": 10}
    assert (wording.value(m), wording.interval(m)) == ("0.871", "[0.841, 0.901]")
    assert (wording.value(m, 100), wording.interval(m, 100)) == ("87.1", "[84.1, 90.1]")
    assert wording.spoken(m, 100).split() == ["87.1", "%", "[84.1,", "90.1]"]
    point = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 10}
    assert wording.value(point) == "1.000"
    assert wording.value({"value": None, "reason": ""}) == "–"
