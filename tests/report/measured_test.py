"""fpu/report/measured.py: the curves in the package, and which of them is near."""

import fake_records
import pytest

from fpu.report import measured


def run(accuracy, seed, model="gaussian", noise=3.73, stages=None, **config):
    made = fake_records.record(model, 1.0, accuracy, seed=seed, **config)
    made["privacy"]["stages"] = stages or [{"noise_multiplier": noise}]
    return made


def test_a_row_is_a_setting_over_its_runs():
    runs = [run(0.6, 0), run(0.7, 1), run(0.8, 2, "prior", prior="glyphs")]
    one_shot, prior = measured.of(runs)
    assert (one_shot.runs, one_shot.value) == (2, pytest.approx(65))
    assert one_shot.half == pytest.approx(12.706 * 5, rel=1e-3)  # Student's t with one degree
    assert (prior.runs, prior.half, prior.prior, prior.coverage) == (1, None, "glyphs", 62)
    assert prior.signal == pytest.approx(500 / 10 / 3.73)


def test_what_is_no_release_alone_or_is_judged_otherwise_is_left_out():
    sgd = [{"n": 500, "sampling_rate": 0.1, "steps": 9, "noise_multiplier": 1.0}]
    diverged = run(0.6, 0) | {"diverged": "at step 1"}
    changes = {"stages": sgd}, {"noise": 0.0}, {"preset": "paper"}, {"evaluation": "full"}
    others = [*(run(0.6, 0, **change) for change in changes), diverged]
    assert measured.of(others) == []


def test_the_nearest_row_is_near_in_members_over_noise(monkeypatch):
    mine = [run(a, 0, noise=noise) for a, noise in ((0.6, 8.0), (0.7, 4.0), (0.9, 1.0))]
    theirs = [run(0.65 + 0.01 * seed, seed, "merf", noise=4.0) for seed in range(3)]
    table = measured.of(mine + theirs)
    monkeypatch.setattr(measured, "rows", lambda: tuple(table))
    assert [row.model for row in measured.nearest("digits", 13.0, False)] == ["merf", "gaussian"]
    assert measured.nearest("digits", 45.0, False)[0].value == 90
    assert measured.nearest("digits", 160.0, False) == []  # more than three times as much
    assert measured.nearest("digits", 13.0, True) == measured.nearest("mnist", 13.0, False) == []


def test_the_committed_table_reads():
    rows = measured.rows()
    assert {row.dataset for row in rows} >= {"digits", "mnist", "pneumoniamnist"}
    assert all(0 < row.value <= 100 and row.noise > 0 and row.n >= row.classes for row in rows)
