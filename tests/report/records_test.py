import json

import pytest
from fake_records import m, null, record
from refusal import refused

import fpu
from fpu.intervals import t_interval
from fpu.report import records


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_folders_are_searched_and_no_file_is_read_twice(tmp_path):
    first = write(tmp_path / "b" / "record.json", record("vae"))
    write(tmp_path / "a" / "x.record.json", record("gan"))
    write(tmp_path / "a" / "config.json", {"schema": 99})
    models = [r["config"]["model"] for r in records.read([tmp_path, first, tmp_path / "a"])]
    assert models == ["gan", "vae"]


def test_a_copy_of_a_run_is_refused_since_it_would_count_twice(tmp_path):
    first = write(tmp_path / "a.record.json", record(seed=1))
    write(tmp_path / "b.record.json", record(seed=2))
    assert len(records.read([tmp_path])) == 2
    copy = write(tmp_path / "c.record.json", record(seed=1))
    with refused(str(first), str(copy)):
        records.read([tmp_path])


def test_a_study_is_one_file_with_a_record_a_line(tmp_path):
    lines = [json.dumps(record(seed=seed)) for seed in range(3)]
    study = write(tmp_path / "studies" / "digits.jsonl", "\n".join(lines) + "\n")
    write(tmp_path / "run" / "record.json", record("vae"))
    write(tmp_path / "run" / "log.jsonl", '{"step": 1}\n')  # a training log holds no records
    runs = records.read([study, tmp_path])
    assert [r["config"]["seed"] for r in runs] == [0, 1, 2, 0]
    assert runs[-1]["config"]["model"] == "vae"
    bad = json.dumps(record(eps="one"))
    for damaged, problem in (
        ([*lines, lines[1]], f"{study}, line 4: the same run as {study}, line 2"),
        ([lines[0], lines[1][:-9], lines[2]], f"{study}, line 2: not JSON"),
        ([lines[0], "", bad], f"{study}, line 3: damaged record, privacy.eps"),
        ([""], f"{study}: no record"),
    ):
        write(study, "\n".join(damaged))
        with refused(problem):
            records.read([study])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"schema": 1, "conf', "not JSON"),
        ("[1, 2]", "not a record"),
        ({"config": {}}, "not a record"),
        (record() | {"schema": 2}, "schema 2"),
        ({k: v for k, v in record().items() if k != "privacy"}, "'privacy'"),
        (record() | {"data": {"name": "digits"}}, "'shape'"),
        (record(eps="one"), "privacy.eps"),
        (record() | {"fidelity": {"features": {"n_reference": [3]}}}, "fidelity.features.n_ref"),
        (record() | {"cross_fitted": {"folds": 5, "n": 33}}, "cross_fitted is not"),
        (record() | {"utility": {"members": {"auc": {"value": "1"}}}}, "utility.members.auc.value"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path, content, problem):
    file = write(tmp_path / "record.json", content)
    with refused(str(file), problem):
        records.read([file])


def test_nothing_to_read_is_refused(tmp_path):
    for paths in ([], [tmp_path], [tmp_path / "missing.json"]):
        with pytest.raises(fpu.InputError):
            records.read(paths)


def test_attacks_are_ranked_and_those_without_a_value_left_out():
    content = record()
    values = {"weak": m(0.5, 0.1), "none": null("no score"), "nan": m(float("nan"), 0.1)}
    values["strong"] = m(0.6, 0.1)
    content["privacy"]["attacks"] = {name: {"auc": auc} for name, auc in values.items()}
    assert [name for name, _ in records.attacks(content)] == ["strong", "weak"]


def test_a_metric_that_is_not_there_says_so():
    assert records.metric(record(), "utility", "members", "ece")["reason"] == "not in this record"


def test_the_mean_over_runs_leaves_out_what_has_no_value_and_one_run_keeps_its_own_interval():
    metrics = [m(value, 0.1) for value in (0.2, 0.4, 0.9)]
    assert records.over_runs([*metrics, null("lost")]) == t_interval([0.2, 0.4, 0.9])
    assert records.over_runs(metrics[:1]) is metrics[0]
    assert records.over_runs([null("lost")]) is None
