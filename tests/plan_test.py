"""fpu/dp/plan.py: impossible plans are refused, and the event is made of the numbers that are run."""

import dataclasses

import dp_accounting as dpa
import pytest

from fpu.dp.plan import DPSGD, Plan, Release

SGD = DPSGD(n=100, sampling_rate=0.2, steps=30, noise_multiplier=1.5, capacity=40)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sampling_rate": 0.0}, "sampling rate"),
        ({"sampling_rate": 1.1}, "sampling rate"),
        ({"sampling_rate": float("nan")}, "sampling rate"),
        ({"n": 0}, "n "),
        ({"steps": 0}, "steps"),
        ({"noise_multiplier": -1.0}, "noise multiplier"),
        ({"noise_multiplier": float("nan")}, "noise multiplier"),
        ({"capacity": 19}, "capacity"),
        ({"capacity": 101}, "capacity"),
    ],
)
def test_an_impossible_stage_is_refused_by_name(change, word):
    with pytest.raises(ValueError, match=word):
        dataclasses.replace(SGD, **change)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_delta_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        Plan(delta, (SGD,))


def test_the_event_of_a_truncated_stage_is_truncated_and_of_another_is_not():
    step = dpa.TruncatedSubsampledGaussianDpEvent(100, 0.2, 40, 1.5)
    assert SGD.event() == dpa.SelfComposedDpEvent(step, 30)
    whole = dataclasses.replace(SGD, capacity=100).event()
    assert whole == dpa.SelfComposedDpEvent(
        dpa.PoissonSampledDpEvent(0.2, dpa.GaussianDpEvent(1.5)), 30
    )
    both = Plan(1e-3, (Release(4.0), SGD)).event()
    assert both == dpa.ComposedDpEvent([dpa.GaussianDpEvent(4.0), SGD.event()])


def test_a_plan_knows_its_training_and_whether_it_is_private():
    assert Plan(1e-3, (Release(4.0), SGD)).sgd() is SGD
    with pytest.raises(ValueError, match="no DP-SGD"):
        Plan(1e-3, (Release(4.0),)).sgd()
    assert Plan(1e-3, (SGD,)).private
    assert not Plan(1e-3, ()).private
    assert not Plan(1e-3, (Release(0.0), SGD)).private
    assert SGD.denominator == 20


def test_the_statement_says_what_holds_and_what_does_not():
    words = Plan(1e-3, (Release(4.0), SGD), unit="group of images").statement(1.25, "pld")
    for part in (
        "(1.25, 0.001)",
        "one group of images is added, removed or zeroed out",
        "noise multiplier 4",
        "30 steps",
        "rate 0.2 of n = 100",
        "at most 40 kept",
        "noise multiplier 1.5",
        "Accountant: pld",
        "Not covered: ",
        "Threefry",
        "floating-point",
    ):
        assert part in words
    assert "No differential privacy" in Plan(1e-3, ()).statement(float("inf"), "none")
