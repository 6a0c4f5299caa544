"""fpu/training/checkpoint.py: what is saved comes back to the last bit; damage costs one checkpoint or is one line."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from refusal import refused

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
    """Cut a checkpoint short."""
    path = folder / f"{step}.ckpt"
    path.write_bytes(path.read_bytes()[:99])


def test_the_newest_comes_back_bitwise_and_two_are_kept(tmp_path):
    folder = tmp_path / "checkpoints"
    assert checkpoint.restore(folder, LIKE) is None
    for step in (50, 100, 150):
        checkpoint.save(folder, step, state(step), LAYOUT | {"devices": step})
    checkpoint.save(folder, 150, state(7), LAYOUT)  # the same step again changes nothing
    step, restored, layout = checkpoint.restore(folder, LIKE)
    assert (step, layout) == (150, LAYOUT | {"devices": 150})
    assert jax.tree.structure(restored) == jax.tree.structure(LIKE)
    assert tiny.same(restored, state(150))
    assert sorted(p.name for p in folder.iterdir()) == ["100.ckpt", "150.ckpt"]


def test_newer_checkpoints_stay_when_a_run_goes_on_from_an_older_one(tmp_path):
    for step in (50, 100, 10, 20, 30, 60):
        checkpoint.save(tmp_path, step, state(step), LAYOUT)
    assert checkpoint.steps(tmp_path) == [50, 60, 100]
    step, restored, _ = checkpoint.restore(tmp_path, LIKE, last=99)
    assert step == 60
    assert tiny.same(restored, state(60))
    assert checkpoint.restore(tmp_path, LIKE, last=49) is None


@pytest.mark.parametrize("name", ["a [1]", "b\\c*?", "Bilder für тест 图像", "100"])
def test_any_name_of_a_folder_works(tmp_path, name):
    folder = tmp_path / name / "0"
    for step in (1, 2):
        checkpoint.save(folder, step, state(step), LAYOUT)
    assert (checkpoint.steps(folder), checkpoint.restore(folder, LIKE)[0]) == ([1, 2], 2)
    assert checkpoint.averaged(folder)["private"]["w"].shape == (2, 3)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_averaged_parameters_need_no_state_to_compare_with(tmp_path):
    assert checkpoint.averaged(tmp_path / "absent") is None
    checkpoint.save(tmp_path, 1, state(1)._replace(ema={"public": {"v": jnp.ones(3)}}), LAYOUT)
    assert tiny.same(checkpoint.averaged(tmp_path), {"public": {"v": jnp.ones(3)}})
    damage(tmp_path, 1)
    with pytest.raises(InputError, match=r"its checkpoint cannot be read \(1.ckpt is cut short"):
        checkpoint.averaged(tmp_path)


def test_an_array_comes_back_where_it_is_wanted(tmp_path):
    checkpoint.save(tmp_path, 1, {"ema": jnp.ones(3, jnp.bfloat16)}, LAYOUT)
    for like in (jnp.zeros(3, jnp.bfloat16), np.zeros(3, jnp.bfloat16)):
        _, restored, _ = checkpoint.restore(tmp_path, {"ema": like})
        assert isinstance(restored["ema"], type(like))
        assert restored["ema"].dtype == jnp.bfloat16


def test_damage_costs_one_checkpoint_or_is_told_in_one_line(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step), LAYOUT)
    damage(tmp_path, 2)
    step, restored, _ = checkpoint.restore(tmp_path, LIKE)
    assert step == 1
    assert tiny.same(restored, state(1))
    checkpoint.save(tmp_path, 2, state(2), LAYOUT)  # a damaged one is replaced
    assert checkpoint.restore(tmp_path, LIKE)[0] == 2
    damage(tmp_path, 1)
    damage(tmp_path, 2)
    with refused("no checkpoint can be read", str(tmp_path)):
        checkpoint.restore(tmp_path, LIKE)


def test_a_state_of_another_model_is_told(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), LAYOUT)
    wider = jax.tree.map(lambda x: jnp.zeros((*x.shape, 2), x.dtype), LIKE)
    for other in (wider, {"ema": jnp.zeros(3)}):
        with pytest.raises(InputError, match="step 1 is of another model"):
            checkpoint.restore(tmp_path, other)


def test_a_file_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path):
    header = checkpoint._HEADER.pack(b"fpu ckpt", 1, 0, 2**33)
    with open(tmp_path / "1.ckpt", "wb") as file:
        file.write(header)
        file.truncate(2**33 + len(header) + 32)  # a sparse file
    with pytest.raises(InputError, match="larger than what is trained here"):
        checkpoint.restore(tmp_path, LIKE)


def test_a_killed_write_leaves_the_one_before_it_and_is_cleared_away(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, state(1), LAYOUT)

    def killed(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, "fsync", killed)
        patched.setattr(checkpoint.pathlib.Path, "unlink", lambda *_, **__: None)  # as by SIGKILL
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, 2, state(2), LAYOUT)
    assert (len(list(tmp_path.iterdir())), checkpoint.restore(tmp_path, LIKE)[0]) == (2, 1)
    checkpoint.save(tmp_path, 3, state(3), LAYOUT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.ckpt", "3.ckpt"]


def test_a_key_is_never_saved(tmp_path):
    with pytest.raises(TypeError, match="holds no PRNG key"):
        checkpoint.save(tmp_path, 1, {"ema": jnp.zeros(3), "key": jax.random.key(0)}, LAYOUT)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints" / "0"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.shutil, "disk_usage", lambda place: SimpleNamespace(free=2**20))
        with pytest.raises(OSError, match="No space left on device") as error:
            checkpoint.save(folder, 1, {"ema": jnp.zeros(3)}, LAYOUT)
    assert (error.value.filename, list(tmp_path.iterdir())) == (str(folder), [])
    checkpoint.save(folder, 1, {"ema": jnp.zeros(3)}, LAYOUT)
    assert checkpoint.steps(folder) == [1]
