"""fpu/pipeline/run.py: a run from flags to report, killed and started again."""

import json
import os
import signal
from unittest import mock

import numpy as np
import pytest
from quick_run import PNG, SECRET, Killed, files, killed_in, options, tells_the_secret

from fpu import InputError, distributed, evaluation, report, training
from fpu.files import safe
from fpu.pipeline import generator, keep, run, workdir
from fpu.pipeline.settings import Options
from fpu.release import scan

pytestmark = pytest.mark.usefixtures("plain")


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(run, "carry_out", None)
    with pytest.raises(InputError, match=r"--workdir=.*name a folder you may write to"):
        run.run(Options(model="gaussian", eps=1.0, workdir=str(tmp_path / "file" / "run")))


def test_a_killed_run_goes_on_and_ends_bitwise_where_it_would_have_ended(tmp_path, quick, capsys):
    folder = tmp_path / "killed"
    before = {"slice_size": 1, "devices": 1}
    elsewhere = mock.patch.object(distributed, "layout", return_value=before)
    with killed_in("0"), elsewhere:
        run.run(options(folder))
    assert tells_the_secret(folder) == {workdir.SECRET}
    assert not {"record.json", "release"} & {p.name for p in folder.iterdir()}

    before = files(folder)
    others = {"steps": 4, "noise_multiplier": 3.0, "clip_norm": 2.0, "seed": 1, "noise_seed": 1}
    for name, value in others.items():
        with pytest.raises(InputError, match="holds another run"):
            run.run(options(folder, **{name: value}))
    assert files(folder) == before

    capsys.readouterr()
    assert run.run(options(folder)) == folder
    told = capsys.readouterr().err
    assert "continuing from step 2" in told
    assert "saved with slice size 1, devices 1, now slice size 1, devices 1, device kind" in told
    assert "rounding, not bitwise" in told
    straight = run.run(options(tmp_path / "straight"))
    mine, theirs = (dict(np.load(f / "release" / "synthetic.npz")) for f in (folder, straight))
    assert mine["train_images"].shape[:1] == (50,)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])

    assert tells_the_secret(folder) == set()
    assert files(folder) - files(folder / "checkpoints") >= {
        *("config.json", "record.json", "manifest.json", "log.jsonl", "samples.png", "report.html"),
        *("release/synthetic.npz", "release/samples.png"),
    }
    names = {name.partition("/")[0] for name in files(folder / "release")}
    assert names == {*scan.FILES, *scan.TEXTS, "images"}
    assert not [name for name in files(folder) if name.endswith(".part")]

    record = json.loads((folder / "record.json").read_text())
    privacy = record["privacy"]
    assert 0.5 < privacy["eps"] < 3
    assert (privacy["delta"], privacy["steps"]) == (1e-3, 3)
    assert (privacy["accountant"], privacy["noise_seed_disclosed"]) == ("pld", False)
    assert record["data"]["n_members"] == 100
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]

    # Once more: nothing to do, and a key that a last-moment kill had left behind goes.
    (folder / workdir.SECRET).write_bytes(SECRET)
    written = (folder / "report.html").stat().st_mtime_ns
    run.run(options(folder))
    assert "is finished" in capsys.readouterr().err
    assert (folder / "report.html").stat().st_mtime_ns == written
    assert not (folder / workdir.SECRET).exists()


def test_a_run_that_diverged_says_so_in_its_record_and_is_not_repeated(tmp_path, quick, capsys):
    def nan(*_):
        return np.full((50, 8, 8, 1), np.nan, np.float32)

    folder = tmp_path / "diverged"
    broken = mock.Mock(return_value=generator.Made(nan, {}, None, {}))
    with mock.patch.object(generator, "trained", broken):
        run.run(options(folder))
        run.run(options(folder))
    assert broken.call_count == 1
    record = json.loads((folder / "record.json").read_text())
    assert "not finite" in record["diverged"]
    assert (record["fidelity"], record["utility"]) == ({}, {})
    assert record["privacy"]["eps"] > 0  # what was spent is spent
    assert not (folder / "release").exists()
    assert tells_the_secret(folder) == set()
    assert run.failure(record) == (run.DIVERGED, record["diverged"])


def test_sigterm_saves_the_training_and_the_same_command_goes_on(tmp_path, quick, capsys):
    fit = training.fit

    def terminated(*arguments, **rest):
        for step, state in fit(*arguments, **rest):
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield step, state

    folder = tmp_path / "stopped"
    stopped = mock.patch.object(training, "fit", terminated)
    with stopped, mock.patch.object(keep, "SECONDS", 1e9), pytest.raises(SystemExit) as left:
        run.run(options(folder))
    assert (left.value.code, capsys.readouterr().err.count("stopped by SIGTERM")) == (143, 1)
    run.run(options(folder))
    assert "continuing from step 2" in capsys.readouterr().err


def test_all_devices_are_used(tmp_path, quick, monkeypatch):
    seen = []

    def fit(*_, mesh, **__):
        seen.append(mesh)
        raise Killed

    monkeypatch.setattr(training, "fit", fit)
    for devices in (1, 4):
        monkeypatch.setattr(distributed, "layout", lambda n=devices: {"devices": n})
        monkeypatch.setattr(distributed, "mesh", lambda: "all")
        with pytest.raises(Killed):
            run.run(options(tmp_path / str(devices)))
    assert seen == [None, "all"]


def test_a_one_shot_release_is_not_made_twice_and_shows_no_real_image(tmp_path, quick, monkeypatch):
    shown = {}

    def samples(path, images, labels, class_names, *members):
        shown[path.parent.name] = len(members)
        path.write_bytes(PNG)

    monkeypatch.setattr(report, "samples_png", samples)
    flags = options(tmp_path / "run", model="gaussian", steps=None, set=())
    folder = run.run(flags)
    assert shown == {".release.part": 0, "run": 2}
    assert tells_the_secret(folder) == set()
    released = (folder / "release" / "synthetic.npz").read_bytes()
    (folder / "report.html").unlink()
    run.run(flags)  # the record is enough for the report
    assert (folder / "report.html").exists()
    assert (folder / "release" / "synthetic.npz").read_bytes() == released
    (folder / "record.json").unlink()
    with pytest.raises(InputError, match="same noise"):
        run.run(flags)


@pytest.mark.parametrize("name", ["report.html", "record.json"])
def test_the_key_is_gone_where_a_file_cannot_be_written(tmp_path, quick, monkeypatch, name):
    write = safe.write_text

    def full(path, text):
        if path.name == name:
            raise OSError("no space left")
        write(path, text)

    monkeypatch.setattr(safe, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        run.run(options(tmp_path, model="gaussian", steps=None, set=()))
    assert tells_the_secret(tmp_path) == set()
    assert not (tmp_path / workdir.SECRET).exists()


def test_a_run_may_have_fewer_members_than_its_public_number(tmp_path, quick, calls_of):
    judged = calls_of(evaluation, "evaluate")
    folder = run.run(options(tmp_path, n_public=150, sample_rate=1.0))
    record = json.loads((folder / "record.json").read_text())
    assert (record["data"]["n_units"], record["config"]["n_public"]) == (100, 150)
    assert (record["privacy"]["capacity"], record["privacy"]["delta"]) == (150, 1 / 1500)
    assert [call.kwargs["n"] for call in judged] == [150]


def test_an_attack_above_what_the_guarantee_allows_withdraws_it(tmp_path, quick, monkeypatch):
    """The pack is renamed and says so, its report is written, and the exit code is 3."""
    sure = {"value": 0.99, "low": 0.98, "high": 1.0, "n": 200}
    found = {"fidelity": {}, "utility": {}, "attacks": {"loss": {"auc": sure}}, "seconds": {}}
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: dict(found))
    flags = {"model": "gaussian", "noise_multiplier": None, "steps": None, "set": ()}
    folder = run.run(options(tmp_path, eps=1.0, **flags))
    assert not (folder / "release").exists()
    text = (folder / "release.refuted" / "PRIVACY.md").read_text()
    assert text.startswith("# NOT private")
    assert "REFUTED: the attack loss" in text
    assert (folder / "report.html").exists()
    assert run.failure(json.loads((folder / "record.json").read_text()))[0] == run.REFUTED == 3


def test_a_noise_seed_is_disclosed_and_repeats_the_run(tmp_path, quick):
    drawn = []
    for name in ("one", "two"):
        flags = options(tmp_path / name, model="gaussian", steps=None, set=(), noise_seed=3)
        folder = run.run(flags)
        record = json.loads((folder / "record.json").read_text())
        assert record["privacy"]["noise_seed_disclosed"] is True
        assert record["privacy"]["statement"].startswith("The noise seed is disclosed")
        drawn.append(np.load(folder / "release" / "synthetic.npz")["train_images"])
    np.testing.assert_array_equal(*drawn)


def test_without_privacy_the_statement_says_so(tmp_path, quick):
    folder = run.run(options(tmp_path, model="copycat", noise_multiplier=None, steps=None, set=()))
    record = json.loads((folder / "record.json").read_text())
    assert record["privacy"]["eps"] == "inf"
    assert "No differential privacy" in record["privacy"]["statement"]
