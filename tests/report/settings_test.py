"""fpu/report/settings.py: a row is one setting, and data are known by content."""

import json

from fake_records import record

from fpu.report import frame, records


def read(tmp_path, runs):
    for number, run in enumerate(runs):
        (tmp_path / f"{number}.record.json").write_text(json.dumps(run))
    return records.read([tmp_path])


def rows(runs):
    every = [
        (table.caption.partition(":")[0], row) for table in frame.tables(runs) for row in table.rows
    ]
    return [(caption, row[0], row[1], row[3]) for caption, row in every]


def test_a_sweep_over_two_settings_is_four_rows_and_no_mean(tmp_path):
    found = (0.21, 8, 50), (0.63, 8, 500), (0.81, 64, 50), (0.88, 64, 500)
    runs = [
        record(accuracy=a, model_config={"width": w, "depth": 3}, draw_steps=s) for a, w, s in found
    ]
    both = [(width, steps) for width in (8, 64) for steps in (50, 500)]
    names = {f"DDPM (draw_steps={steps}, model.width={width})" for width, steps in both}
    assert {row[1:] for row in rows(read(tmp_path, runs))} == {(name, "1", "1") for name in names}


def test_runs_that_differ_by_chance_alone_share_a_row(tmp_path):
    runs = [record(seed=seed, sha256_members=str(seed), repeats=seed) for seed in range(3)]
    assert rows(read(tmp_path, runs)) == [("digits", "DDPM", "1", "3")]


def test_what_differs_is_named_for_all_of_a_model_and_for_no_other(tmp_path):
    runs = [record(eps=1.0, steps=100), record(eps=1.0, steps=200), record(eps=10.0, steps=200)]
    runs += [record("vae", steps=100), record(eps="inf", steps=100, delta=1e-5)]
    runs += [record(eps="inf", steps=100, delta=1e-3, seed=1)]  # without noise delta says nothing
    assert [row[1:] for row in rows(read(tmp_path, runs))] == [
        ("VAE", "1", "1"),
        ("DDPM (steps=100)", "1", "1"),
        ("DDPM (steps=100)", "∞", "2"),
        ("DDPM (steps=200)", "1", "1"),
        ("DDPM (steps=200)", "10", "1"),
    ]


def test_files_of_one_name_and_other_images_are_other_data(tmp_path):
    runs = [record("gaussian", dataset="scans.npz", seed=seed) for seed in range(4)]
    for run, sha in zip(runs, ("a" * 64, "b" * 64, "a" * 64, "a" * 64), strict=True):
        run["data"]["sha256_data"] = sha
        run["config"]["stages"] = [{"noise_multiplier": 4.0}]
    found = read(tmp_path, runs)
    counts = [("scans (aaaaaaaa).npz", "3"), ("scans (bbbbbbbb).npz", "1")]
    assert rows(found) == [(name, "gaussian", "1", count) for name, count in counts]
    notes = [" ".join(table.notes) for table in frame.tables(found)]
    assert "3 runs with a guarantee together spend" in notes[0]
    assert "together spend" not in notes[1]  # one hospital's budget is not the other's


def test_protocols_never_share_a_table(tmp_path):
    protocols = enumerate(((0.5, "quick"), (0.7, "full"), (0.9, "field")))
    runs = [record(accuracy=a, seed=seed, evaluation=protocol) for seed, (a, protocol) in protocols]
    found = rows(read(tmp_path, runs))
    assert len({where for where, *_ in found}) == 3
    assert sum("judged as the field does" in where for where, *_ in found) == 1
    assert [runs for *_, runs in found] == ["1"] * 3
