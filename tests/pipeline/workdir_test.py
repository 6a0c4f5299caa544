"""fpu/pipeline/workdir.py: whose folder it is, and the life of the secret key."""

import json
import os
import stat

import jax
import pytest
from refusal import refused

from fpu import InputError
from fpu.pipeline import workdir

CONFIG = {"model": "vae", "steps": 3, "set": ("a", "b")}


def enter(path, config=CONFIG):
    with workdir.opened(path, config):
        pass


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def contents(path):
    return sorted(p.name for p in path.iterdir())


def test_a_folder_is_private_says_whose_it_is_and_may_be_entered_again(tmp_path):
    path = tmp_path / "a" / "run"
    enter(path)
    assert (mode(path), contents(path)) == (0o700, [".lock", "config.json"])
    assert json.loads((path / "config.json").read_text())["config"] == CONFIG | {"set": ["a", "b"]}
    before = (path / "config.json").read_bytes()
    enter(path)
    assert (path / "config.json").read_bytes() == before


def test_another_run_is_refused_by_what_differs(tmp_path):
    enter(tmp_path / "run")
    with pytest.raises(InputError, match=r"holds another run \(steps differ\)") as told:
        enter(tmp_path / "run", CONFIG | {"steps": 4})
    assert "--workdir=" in str(told.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax", "0"), ("jax_threefry_partitionable", None), ("code_of_fpu", "0"), ("backend", "x")],
)
def test_what_would_give_other_noise_is_refused_until_the_end(tmp_path, monkeypatch, name, value):
    """The same key under other code, another version or another flag is a second noise on the same query."""
    path = tmp_path / "run"
    enter(path)
    before, other = contents(path), workdir.mechanism() | {name: value}
    monkeypatch.setattr(workdir, "mechanism", lambda: other)
    with refused(f"begun where {name.replace('_', ' ')} was ", "other noise"):
        enter(path)
    assert contents(path) == before
    (path / "record.json").write_text("{}")
    enter(path)  # nothing more is drawn


def test_the_mechanism_names_the_flags_that_decide_bits(monkeypatch):
    before = workdir.mechanism()
    jax.config.update("jax_threefry_partitionable", not before["jax_threefry_partitionable"])
    try:
        assert workdir.mechanism() != before
    finally:
        jax.config.update("jax_threefry_partitionable", before["jax_threefry_partitionable"])
    assert {"jax", "jaxlib", "numpy", "flax", "optax", "code_of_fpu", "backend"} <= set(before)
    json.dumps(before, allow_nan=False)


@pytest.mark.parametrize("name", ["notes.txt", "release"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    before = mode(tmp_path)
    with pytest.raises(InputError, match=f"something else.*{name}"):
        enter(tmp_path)
    assert (contents(tmp_path), mode(tmp_path)) == ([name], before)


def test_a_run_killed_at_its_very_first_write_may_start_again(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.123.part").write_text("{")
    enter(tmp_path)


def test_a_damaged_config_is_named(tmp_path):
    enter(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: is damaged"):
        enter(tmp_path)


def test_two_runs_do_not_work_in_one_folder_at_once(tmp_path):
    with workdir.opened(tmp_path, CONFIG), pytest.raises(InputError, match="another process"):
        enter(tmp_path)
    enter(tmp_path)


def key(path, seed=None):
    return jax.random.key_data(workdir.secret_key(path, seed)).tolist()


def test_a_secret_is_fresh_kept_private_and_the_same_after_a_restart(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first = key(one)
    assert (mode(one / workdir.SECRET), contents(one)) == (0o600, [workdir.SECRET])
    assert key(one) == first
    assert key(two) != first
    data = (one / workdir.SECRET).read_bytes()
    assert len(data) == 8
    assert first == [int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")]


def test_a_destroyed_secret_is_gone_for_good(tmp_path):
    key(tmp_path)
    link = tmp_path / "link"
    os.link(tmp_path / workdir.SECRET, link)  # to see the blocks
    workdir.destroy_secret(tmp_path)
    assert (contents(tmp_path), link.read_bytes()) == (["link"], bytes(8))
    workdir.destroy_secret(tmp_path)


@pytest.mark.parametrize("data", [b"", b"1234", bytes(8), b"123456789"])
def test_a_damaged_or_half_destroyed_secret_is_never_used(tmp_path, data):
    (tmp_path / workdir.SECRET).write_bytes(data)
    with pytest.raises(InputError, match=r"secret\.key: is damaged"):
        key(tmp_path)


@pytest.mark.parametrize("made", ["checkpoints", "release"])
def test_a_run_that_lost_its_secret_does_not_draw_a_second_one(tmp_path, made):
    """That would be a second release of the same data, which nobody has accounted for."""
    (tmp_path / made).mkdir()
    with pytest.raises(InputError, match="same noise"):
        key(tmp_path)
    assert contents(tmp_path) == [made]


def test_a_noise_seed_gives_one_key_without_a_file_which_is_no_public_key(tmp_path):
    assert key(tmp_path, 5) == key(tmp_path, 5)
    seeds = [0, 1, 5, 2**31, 2**32, 2**40, 2**64]
    keys = {tuple(key(tmp_path, seed)) for seed in seeds}
    assert len(keys) == len(seeds)
    assert not keys & {tuple(jax.random.key_data(jax.random.key(s)).tolist()) for s in seeds[:4]}
    assert contents(tmp_path) == []
