import numpy as np
import pytest
from fake_records import m, null, record
from scipy import stats

from fpu.report import frame


def rows(runs):
    """The rows of the one table, {column: cell} each."""
    (table,) = frame.tables(runs)
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_one_run_shows_its_own_interval():
    (row,) = rows([record(accuracy=0.82)])
    assert (row["accuracy %"], row["KID"]) == ("82.0 [78.2, 85.8]", "0.0412 [0.0352, 0.0472]")
    assert row["attack AUC"] == "0.510 [0.474, 0.546]"
    assert (row["model"], row["ε"], row["n"], row["runs"]) == ("DDPM", "1", "500", "1")
    assert (row["steps"], row["seconds"]) == ("400", "65")


def test_several_runs_show_mean_and_t_interval():
    values = [0.70, 0.74, 0.81]
    (row,) = rows([record(accuracy=v, seed=i) for i, v in enumerate(values)])
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    mean, half = (float(part) for part in row["accuracy %"].split(" ± "))
    assert (mean, half) == (pytest.approx(75.0), pytest.approx(50 * (high - low), abs=0.5))
    assert row["runs"] == "3"


def test_runs_without_a_value_are_counted_out():
    runs = [record(seed=i) for i in range(3)]
    runs[1]["fidelity"]["synthetic"]["kid"] = null("too few")
    (row,) = rows(runs)
    assert row["KID"].endswith("(2 of 3)")
    for run in (runs[0], runs[2]):
        run["fidelity"]["synthetic"]["kid"] = null("too few")
    assert rows(runs)[0]["KID"] == "–"


def test_rows_are_sorted_and_eps_and_presets_kept_apart():
    cells = [
        ("copycat", "inf"), ("gaussian", 1.0), ("ddpm", "inf"), ("ddpm", 10.0), ("ddpm", 1.0),
        ("fresh", "inf"), ("vae", 1.0),
    ]  # fmt: skip
    runs = [record(model, eps) for model, eps in cells]
    runs += [record("vae", 1.0, preset="paper"), record("ddpm", n=100)]
    assert [(row["n"], row["model"], row["ε"]) for row in rows(runs)] == [
        ("100", "DDPM", "1"), ("500", "VAE", "1"), ("500", "VAE (paper preset)", "1"),
        ("500", "DDPM", "1"), ("500", "DDPM", "10"), ("500", "DDPM", "∞"), ("500", "gaussian", "1"),
        ("500", "copycat", "∞"), ("500", "fresh", "∞"),
    ]  # fmt: skip


def test_each_data_set_has_a_table_and_markdown_is_well_formed():
    text = frame.markdown([record(), record(dataset="a|b.npz", model="x|y")])
    assert text.count("**") == 4
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert (len(lines), len({line.count("|") for line in lines})) == (6, 1)


def test_what_runs_spend_together_stands_below_their_table():
    stages = [{"noise_multiplier": 4.0}]
    runs = [record(model, stages=stages) for model in ("vae", "gan")]
    table = frame.tables([*runs, record(dataset="other")])[0]
    assert len(table.notes) == 2
    assert "2 runs with a guarantee together spend ε = " in table.notes[0]
    text = frame.markdown(runs)
    assert all(note in text for note in table.notes)
    assert frame.tables([record(), record(seed=1)])[0].notes != []  # no plans: a note says so


def test_the_strongest_attack_is_shown():
    run = record()
    run["privacy"]["attacks"]["third"] = {"auc": m(0.66, 0.03)}
    assert rows([run])[0]["attack AUC"].startswith("0.660")
    run["privacy"]["attacks"] = {}
    assert rows([run])[0]["attack AUC"] == "–"


def beside_one_shot(eps, gains):
    """Runs of the DDPM at this eps, one for each gain over its one-shot draws."""
    runs = [record(eps=eps, accuracy=0.6 + gain, seed=i) for i, gain in enumerate(gains)]
    for run in runs:
        run["utility"]["one_shot"] = {"accuracy": m(0.6, 0.04)}
    return runs


def test_a_model_is_held_against_its_one_shot_rival_run_by_run():
    gains = [0.02, 0.03, 0.07]
    runs = beside_one_shot(1.0, [-0.01, 0.05, 0.0]) + beside_one_shot(10.0, gains)
    low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    mean, half = (float(part) for part in rows(runs)[1]["over one-shot"].split(" ± "))
    assert (mean, half) == (pytest.approx(4.0), pytest.approx(50 * (high - low), abs=0.1))
    assert rows([record("gaussian")])[0]["over one-shot"] == "–"


def test_where_training_first_pays_is_told_only_where_the_paired_interval_says_so():
    def crossings(runs):
        return [note for note in frame.tables(runs)[0].notes if "one-shot draws" in note]

    clear = beside_one_shot(10.0, [0.04, 0.05, 0.06])
    (note,) = crossings(beside_one_shot(1.0, [-0.01, 0.05, 0.0]) + clear)
    assert "DDPM, n = 500" in note
    assert "first at ε = 10 (ε = 1, 10;" in note
    # One run proves nothing.
    (note,) = crossings(beside_one_shot(1.0, [-0.01, 0.05, 0.0]) + clear[:1])
    assert "at none of them" in note
    assert crossings([record(), record("gaussian")]) == []


def ranked(pairs):
    """Runs of one data set with these values of KID in trained and in random features."""
    runs = [record(seed=i, stages=[{"noise_multiplier": 4.0}]) for i in range(len(pairs))]
    for run, (trained, random) in zip(runs, pairs, strict=True):
        run["fidelity"]["synthetic"] |= {"kid": m(trained, 0.1), "kid_random": m(random, 0.1)}
    return [note for note in frame.tables(runs)[0].notes if "Spearman" in note]


def test_the_control_features_are_compared_by_rank():
    pairs = np.random.default_rng(0).normal(size=(7, 2))
    (note,) = ranked(pairs)
    assert f"{stats.spearmanr(*pairs.T).statistic:.2f}" in note
    assert "7 runs" in note
    assert "disagree" in note
    (note,) = ranked([(x, x**3) for x in range(4)])
    assert "ρ = 1.00." in note
    assert "disagree" not in note
    assert (ranked(pairs[:3]), ranked([(1.0, x) for x in range(5)])) == ([], [])


def test_runs_that_diverged_are_counted_and_told_of():
    lost = record(seed=1) | {"fidelity": {}, "utility": {}, "diverged": "not finite"}
    (table,) = frame.tables([record(), lost])
    (row,) = table.rows
    assert row[3] == "2"
    assert "(1 of 2)" in row[4]
    told = "DDPM at ε = 1, n = 500: training diverged in 1 of 2 runs, which made no images."
    assert table.notes[0] == told
