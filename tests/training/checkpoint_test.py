"""fpu/training/checkpoint.py: what is saved comes back to the last bit, and damage is survived or told."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from fpu import InputError
from fpu.training import State, checkpoint


def state(step):
    """A State with every kind of leaf."""
    return State(
        jnp.int32(step),
        {"private": {"w": jnp.full((2, 3), step / 3)}, "public": {}},
        {"private": {"w": jnp.full((2, 3), jnp.nan)}, "public": {}},
        (jnp.int32(step), {"w": jnp.full((2, 3), 1e-40)}),
        (),
        (jnp.float32(step), jnp.zeros(()), jnp.int32(3)),
    )


LIKE = state(0)
LAYOUT = {"slice_size": 1, "devices": 4, "device_kind": "a"}


def damage(folder, step):
    """Cut every file of a checkpoint short."""
    files = [p for p in (folder / str(step)).rglob("*") if p.is_file()]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:3])


def test_the_newest_comes_back_bitwise_and_two_are_kept(tmp_path):
    folder = tmp_path / "checkpoints"
    assert checkpoint.restore(folder, LIKE) is None
    for step in (50, 100, 150):
        checkpoint.save(folder, step, state(step), LAYOUT | {"devices": step})
    checkpoint.save(folder, 150, state(7), LAYOUT)  # the same step again changes nothing
    step, found, layout = checkpoint.restore(folder, LIKE)
    assert (step, layout) == (150, LAYOUT | {"devices": 150})
    assert jax.tree.structure(found) == jax.tree.structure(LIKE)
    assert tiny.same(found, state(150))
    assert sorted(p.name for p in folder.iterdir()) == ["100", "150"]


def test_damage_costs_one_checkpoint_or_is_told_in_one_line(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step), LAYOUT)
    damage(tmp_path, 2)
    step, found, _ = checkpoint.restore(tmp_path, LIKE)
    assert step == 1
    assert tiny.same(found, state(1))
    damage(tmp_path, 1)
    with pytest.raises(InputError, match="no checkpoint can be read") as told:
        checkpoint.restore(tmp_path, LIKE)
    assert "\n" not in str(told.value)
    assert str(tmp_path) in str(told.value)


def test_fingerprints_tell_configs_apart_but_not_their_order():
    config = {"steps": 3, "model": {"width": 8, "net": "mixer"}, "set": ["a"]}
    same = {"set": ["a"], "model": {"net": "mixer", "width": 8}, "steps": 3}
    assert checkpoint.fingerprint(config) == checkpoint.fingerprint(same)
    others = [config | {"steps": 4}, config | {"set": []}, config | {"eps": None}]
    assert len({checkpoint.fingerprint(c) for c in (config, *others)}) == 4
    assert np.unique([len(checkpoint.fingerprint(c)) for c in others]).tolist() == [64]


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints" / "0"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.shutil, "disk_usage", lambda place: Usage(free=2**20))
        with pytest.raises(OSError, match="No space left on device") as told:
            checkpoint.save(folder, 1, {"ema": jnp.zeros(3)}, LAYOUT)
    assert told.value.filename == str(folder)
    assert list(tmp_path.iterdir()) == []
    checkpoint.save(folder, 1, {"ema": jnp.zeros(3)}, LAYOUT)
    assert checkpoint.steps(folder) == [1]


class Usage(NamedTuple):
    free: int
