"""fpu/commands/evaluate.py: any synthetic set judged, a run judged again, and bad input in one line."""

import dataclasses
import json

import numpy as np
import pytest
import shared_run
import tiny
import tiny_prior
from PIL import Image
from refusal import refused

from fpu import InputError, data, evaluation, report
from fpu.commands import evaluate
from fpu.commands.evaluate import Options
from fpu.pipeline import run
from fpu.pipeline.settings import Options as RunOptions

pytestmark = pytest.mark.usefixtures("short_training")
TRAINING_STEPS = 10


@pytest.fixture(scope="module")
def members():
    """What a foreign generator was trained on: the first 30 of each class of the digits."""
    digits = data.load("digits")
    train = digits.split == 0
    mine = [np.flatnonzero(train & (digits.labels == k))[:30] for k in range(10)]
    return digits, np.sort(np.concatenate(mine))


def foreign(tmp_path, members, **more):
    """Options for a set that hands out the members, with a bare list as manifest."""
    digits, index = members
    data.save_npz(tmp_path / "theirs.npz", digits.images[index], digits.labels[index], 10)
    (tmp_path / "list.json").write_text(json.dumps(index.tolist()))
    names = {"synthetic": "theirs.npz", "members": "list.json", "out": "judged"}
    given = {flag: str(tmp_path / name) for flag, name in names.items()}
    given |= {"dataset": "digits", "evaluation": "quick"}
    return Options(**(given | more))


def test_a_copycat_of_another_tool_is_caught_and_its_claim_is_told_as_a_claim(tmp_path, members):
    out = evaluate.evaluate(foreign(tmp_path, members, eps=1.0, delta=1e-4))
    (found,) = report.read([out / "record.json"])
    assert found["fidelity"]["synthetic"]["near_copies"]["value"] == 1
    assert found["privacy"]["attacks"]["nearest"]["auc"]["value"] > 0.99
    assert found["privacy"]["eps"] == 1
    assert "claims (1, 0.0001)" in found["privacy"]["statement"]
    assert found["utility"]["private_classifier"]["accuracy"]["value"] is not None
    assert (found["config"]["model"], found["data"]["n_members"]) == ("theirs", 300)
    assert json.loads((out / "manifest.json").read_text())["members"] == members[1].tolist()
    assert "theirs (ε claimed) on digits at ε = 1" in (out / "report.html").read_text()
    assert out.stat().st_mode & 0o77 == 0


def test_a_run_judged_again_gets_the_numbers_it_had(tmp_path, calls_of, monkeypatch):
    shared_run.replace_vae(monkeypatch)
    judged = calls_of(evaluation, "evaluate")
    options = RunOptions(
        model="vae", eps=float("inf"), n_per_class=30, steps=20, workdir=str(tmp_path / "run"),
        set=("model.width=8", "model.depth=1", "model.latent=4"), n_samples=200, n_public=400,
    )  # fmt: skip
    folder = run.run(options)
    again = Options(model_dir=str(folder), out=str(tmp_path / "again"), evaluation="quick")
    out = evaluate.evaluate(again)
    before, after = (json.loads((f / "record.json").read_text()) for f in (folder, out))
    assert [call.kwargs["n"] for call in judged] == [400, 400]  # the public number of members
    for section in ("fidelity", "utility"):
        assert after[section] == before[section]
    assert after["privacy"]["attacks"] == before["privacy"]["attacks"]
    assert "loss" in after["privacy"]["attacks"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"synthetic": ""}, "--synthetic is missing"),
        ({"members": ""}, "--members is missing"),
        ({"out": ""}, "--out is missing"),
        ({"out": "gs://bucket/judged"}, "--out=gs://bucket/judged: the report shows real images"),
        ({"synthetic": "none.npz"}, "none.npz"),
        ({"members": "none.json"}, "none.json: cannot be read"),
        ({"dataset": "digit"}, "--dataset=digit"),
        ({"eps": 1.0}, "--eps and --delta: give both"),
        ({"eps": -1.0, "delta": 0.1}, "need eps > 0"),
        ({"eps": float("nan"), "delta": 0.1}, "need eps > 0"),
        ({"evaluation": "fast"}, "--evaluation=fast"),
        ({"seed": -1}, "--seed=-1"),
        ({"model_dir": "nowhere"}, "--model_dir=nowhere: no record.json"),
    ],
)
def test_bad_input_is_one_line(tmp_path, members, change, words):
    with refused(words):
        evaluate.evaluate(dataclasses.replace(foreign(tmp_path, members), **change))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, members):
    options = foreign(tmp_path, members)
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged" / "record.json").write_text("precious")
    with pytest.raises(InputError, match="not empty; name another folder"):
        evaluate.evaluate(options)
    assert (tmp_path / "judged" / "record.json").read_text() == "precious"


def test_a_folder_is_read_as_an_npz_is_and_a_copycat_in_it_is_caught(tmp_path, members):
    """Pictures of another size by class name; the real data in a folder with patients."""
    digits, index = members
    few = np.concatenate([index[digits.labels[index] == k][:20] for k in (0, 1)])
    rest = np.flatnonzero((digits.split == 2) & (digits.labels < 2))
    for split, rows in (("train", few), ("test", rest)):
        for i in rows:
            place = tmp_path / "scans" / split / "ab"[digits.labels[i]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(digits.images[i, ..., 0]).resize((16, 16)).save(place / f"{i}.png")
    for path in (tmp_path / "scans" / "train").rglob("*.png"):
        place = tmp_path / "theirs" / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize((32, 32)).save(place / path.name)
    names = {"synthetic": "theirs", "dataset": "scans", "out": "judged"}
    given = {flag: str(tmp_path / name) for flag, name in names.items()}
    out = evaluate.evaluate(Options(side=8, members="train", evaluation="quick", **given))
    (found,) = report.read([out / "record.json"])
    assert (found["data"]["name"], found["data"]["shape"]) == ("scans", [8, 8, 1])
    assert found["data"]["class_names"] == ["a", "b"]
    assert found["privacy"]["attacks"]["nearest"]["auc"]["value"] > 0.95
    assert any("scaled to 8x8" in line for line in found["data"]["look"])
    assert "scaled to 8x8" in (out / "report.html").read_text()


def test_a_record_alone_does_not_decide_that_code_of_a_prior_is_run(monkeypatch):
    tiny_prior.install(monkeypatch)
    known = evaluate._built_in("squares", "1", tiny.SPEC)
    assert known is not None
    assert known.name == "squares"
    assert evaluate._built_in("squares", "2", tiny.SPEC) is None
    assert evaluate._built_in("os:system", "1", tiny.SPEC) is None
