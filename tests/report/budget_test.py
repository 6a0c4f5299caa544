"""fpu/report/budget.py: what the runs shown spend together, from their records alone."""

import re

import pytest
from fake_records import record

from fpu.dp import ledger
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.report import budget

SGD = {"n": 500, "sampling_rate": 0.25, "steps": 40, "noise_multiplier": 9.0, "capacity": 174}
ONCE = {"noise_multiplier": 4.0}
PLANS = [Plan(2e-4, (DPSGD(**SGD),)), Plan(2e-4, (Release(4.0),))]


def made(model="ddpm", stages=(SGD,), seed=0, **change):
    return record(model, seed=seed, stages=list(stages), **change)


def eps(line):
    return float(re.search("ε = ([0-9.,]+)", line)[1].replace(",", ""))


def test_runs_on_the_same_members_compose():
    line, last = budget.notes([made(), made("gaussian", [ONCE]), made("copycat", [], eps="inf")])
    assert line.startswith("On members 00000000: 2 runs with a guarantee together spend ε = ")
    assert "at δ = 2e-4 (pld)" in line
    assert "Beside them 1 run without a guarantee" in line
    exact, _ = ledger.composed(PLANS, 2e-4)
    assert exact <= eps(line) <= exact + 0.01
    assert last == budget.NOT_SHOWN


def test_sets_of_members_that_are_exposed_alike_share_a_line_and_may_overlap():
    runs = [made(m, seed=seed) for seed in (0, 1) for m in ("vae", "gan")]
    alike, every, _ = budget.notes(runs)
    assert alike.startswith("On members 00000000, 00000000: 2 runs")
    assert every.startswith("On an image that may be in all of the 2 sets of members: 4 runs")
    assert eps(every) == pytest.approx(ledger.composed([PLANS[0]] * 4, 2e-4)[0], abs=0.011)


def test_where_the_members_are_known_the_image_most_exposed_counts():
    runs = [made(seed=seed) for seed in range(3)]
    for run, members in zip(runs, ([1, 2], [2, 3], [4]), strict=True):
        run["data"]["members"] = members
    line, _ = budget.notes(runs)
    assert line.startswith("On the image that is in most of the 3 sets of members: 2 runs")
    runs[0]["data"]["unit"] = "group"  # of groups only the images are known
    assert budget.notes(runs)[0].startswith("On an image that may be in all of the 3 sets")


def test_nothing_is_said_of_runs_that_share_nobody_or_spend_nothing():
    assert budget.notes([made()]) == []
    assert budget.notes([made(), made("copycat", [], eps="inf")]) == []


def test_a_disclosed_seed_is_no_guarantee_and_a_record_without_a_plan_is_named():
    disclosed, bare = made(), made()
    disclosed["privacy"]["noise_seed_disclosed"] = True
    del bare["config"]["stages"]
    line, left, _ = budget.notes([made(), made(), disclosed, bare])
    assert ": 2 runs with a guarantee" in line
    assert "1 run without a guarantee" in line
    assert left == "1 run left out: no plan in the record."
