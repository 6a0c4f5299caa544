"""fpu/report/svg.py: what stands where on a bar."""

import re

from fpu.report import svg


def m(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 9}


def test_bars_place_value_interval_chance_and_limit_on_the_axis():
    drawn = svg.bar(m(0.5, 0.25, 1.0), m(0.75, 0.7, 0.8), (0, 1), 0.1, 0.9)
    assert re.search(r'circle class="ours" cx="110.0"', drawn)
    assert re.search(r'class="ours" d="M59.0 \d+H212.0', drawn)
    assert re.search(r'class="beside" d="M161.0 ', drawn)
    assert re.search(r'class="chance" d="M28.4 ', drawn)
    assert re.search(r'class="limit" x="191.6"', drawn)


def test_bars_stay_on_the_axis_and_leave_out_what_has_no_value():
    drawn = svg.bar(m(7.0, -5.0, 9.0), {"value": None}, (0, 1), scale=100)
    assert 'class="beside"' not in drawn
    assert "M8.0 9H212.0" in drawn
    assert "100 %" in drawn
