"""fpu/files/cache.py: asked once, answered from disk; whatever is wrong with the file is solved again."""

import json
import os
import pathlib
from unittest import mock

import numpy as np
import pytest

from fpu.files import cache

ANSWER = {"members": {"accuracy": {"value": 1 / 3, "low": 0.1, "high": 0.7, "n": 9}}}


def solver():
    return mock.Mock(return_value=ANSWER)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a" / "kept"


def test_the_folder_is_made_below_xdg_cache_home_or_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder("a") == pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "fpu" / "a"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder("a") == tmp_path / ".cache" / "fpu" / "a"
    assert (tmp_path / ".cache" / "fpu" / "a").is_dir()


def _homeless(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pathlib.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))


def _a_file(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


def _unwritable(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)


@pytest.mark.parametrize("spoil", [_homeless, _a_file, _unwritable])
def test_without_a_folder_there_is_one_line_and_work_goes_on(tmp_path, monkeypatch, capsys, spoil):
    spoil(monkeypatch, tmp_path)
    cache._without.cache_clear()
    assert [cache.folder(name) for name in ("a", "a", "b")] == [None] * 3
    line = capsys.readouterr().err
    assert line.startswith("no cache (")
    assert line.endswith("set XDG_CACHE_HOME to a folder you may write to\n")
    assert (line.count("\n"), cache.remembered(cache.folder("a"), {}, solver())) == (1, ANSWER)


def test_a_question_is_solved_once(folder):
    solve = solver()
    answers = [cache.remembered(folder, {"n": 1}, solve) for _ in range(3)]
    assert (answers, solve.call_count) == ([ANSWER] * 3, 1)
    assert cache.remembered(folder, {"n": 2}, lambda: {"other": None}) == {"other": None}


def test_the_folder_is_the_users_alone(folder):
    cache.remembered(folder, {}, solver())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.suffix for file in folder.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.7", "0.8"),
        lambda text: json.dumps([]),
        lambda text: text.replace("question", "questions"),
        lambda text: "\xff",
    ],
)
def test_a_damaged_file_is_solved_and_written_again(folder, damage):
    cache.remembered(folder, {"n": 1}, solver())
    (file,) = folder.iterdir()
    whole = file.read_text()
    file.write_bytes(damage(whole).encode("latin-1"))
    solve = solver()
    assert (cache.remembered(folder, {"n": 1}, solve), solve.call_count) == (ANSWER, 1)
    assert file.read_text() == whole


def test_no_folder_and_a_folder_that_cannot_be_cost_time_only(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "kept"):
        solve = solver()
        assert [cache.remembered(folder, {}, solve) for _ in range(2)] == [ANSWER] * 2
        assert solve.call_count == 2


def test_the_digest_sees_every_pixel_the_shape_and_the_type():
    images = np.zeros((3, 2, 2), np.uint8)
    other = images.copy()
    other[2, 1, 1] = 1
    variants = [images, other, images.reshape(3, 4), images.astype(np.int8), images[:2]]
    assert len({cache.digest(v, np.arange(3)) for v in variants}) == 5
    assert cache.digest(images) == cache.digest(images.copy())


def test_fingerprints_tell_configs_apart_but_not_their_order():
    config = {"steps": 3, "model": {"width": 8, "net": "mixer"}, "set": ["a"]}
    same = {"set": ["a"], "model": {"net": "mixer", "width": 8}, "steps": 3}
    assert cache.fingerprint(config) == cache.fingerprint(same)
    others = [config | {"steps": 4}, config | {"set": []}, config | {"eps": None}]
    assert len({cache.fingerprint(c) for c in (config, *others)}) == 4
    assert np.unique([len(cache.fingerprint(c)) for c in others]).tolist() == [64]
