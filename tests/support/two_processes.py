"""Training across two processes over the loopback interface, two devices each.

Not collected by itself: distributed_test.py runs it in both processes.
"""

import contextlib
import functools
import os
import pathlib
import signal
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shared_run
import tiny

from fpu import InputError, distributed
from fpu.commands import run as command
from fpu.files import safe
from fpu.pipeline import progress, run, workdir
from fpu.training import checkpoint

ME = int(os.environ["PROCESS"])
FOLDER = pathlib.Path(os.environ["RUNS"])  # of both processes
distributed.initialize(os.environ["COORDINATOR"], ME, 2)

fit = functools.partial(tiny.end, tiny.duet(), tiny.PLAN, tiny.RECIPE, tiny.pool())


def cells(secret):
    one = tiny.cells([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    return one._replace(secret=jax.vmap(jax.random.fold_in, (None, 0))(secret, jnp.arange(2)))


def test_both_see_all_devices():
    assert (jax.process_count(), jax.process_index()) == (2, ME)
    assert (jax.device_count(), jax.local_device_count()) == (4, 2)


def test_each_process_has_a_secret_key_and_that_of_the_first_is_used():
    own = jax.random.key(100 + ME)
    with pytest.raises(InputError, match=r"cells\.secret: differs between processes") as error:
        fit(cells(own), mesh=distributed.mesh(2))
    words = jax.random.key_data(cells(own).secret).ravel().tolist()
    assert not any(str(word) in str(error.value) for word in words)

    shared = distributed.broadcast_key(own)
    assert jax.random.key_data(shared).tolist() == [0, 100]
    alone = tiny.leaves(fit(cells(shared)))
    # Cell 0 is trained by process 0, cell 1 by process 1, the examples of each on its two devices.
    each = fit(cells(shared), mesh=distributed.mesh(2))
    # Cell 0 is trained by both, its examples on all four devices.
    both = fit(jax.tree.map(lambda x: x[:1], cells(shared)), mesh=distributed.mesh())
    for ends, mine in ((each, slice(ME, ME + 1)), (both, slice(0, 1))):
        for leaf, wanted in zip(jax.tree.leaves(ends), alone, strict=True):
            assert leaf.shape[1:] == wanted.shape[1:]
            for shard in leaf.addressable_shards:
                np.testing.assert_allclose(shard.data, wanted[mine], rtol=1e-4, atol=1e-5)


def test_processes_that_disagree_on_anything_else_are_told_of_what():
    for change in ({"mesh": distributed.mesh(1 + ME)}, {"restore": lambda like: (None, like)[ME]}):
        with pytest.raises(InputError, match=r"(slice_size|restored_step): differs"):
            fit(cells(jax.random.key(0)), **{"mesh": distributed.mesh()} | change)


def refuse(*_):
    raise AssertionError("this process is not the one that writes")


def test_a_run_killed_and_started_again_by_both(monkeypatch, capfd):
    """Its end is compared with that of one process in distributed_test.py."""
    folder = FOLDER / "two"
    if ME:
        for module, name in (
            (safe, "write_text"), (workdir, "secret_key"), (workdir, "destroy_secret")
        ):  # fmt: skip
            monkeypatch.setattr(module, name, refuse)
    with pytest.raises(shared_run.Killed):
        shared_run.do(folder, monkeypatch, killed_at=2)
    shared_run.do(folder, monkeypatch)
    assert ("continuing from step 2" in capfd.readouterr().err) is (ME == 0)
    assert (folder / "record.json").is_file()
    shared_run.do(folder, monkeypatch)  # finished: nothing is left to do
    assert ("is finished" in capfd.readouterr().err) is (ME == 0)


def test_sigterm_to_one_stops_both_when_the_first_has_saved(monkeypatch):
    folder, observe = FOLDER / "stopped", progress.training

    @contextlib.contextmanager
    def telling(*arguments, **named):
        with observe(*arguments, **named) as show:

            def shown(step, diagnostics):
                show(step, diagnostics)
                if ME:
                    os.kill(os.getpid(), signal.SIGTERM)

            yield shown

    def slow(path, step, state, layout, save=checkpoint.save):
        time.sleep(2)
        save(path, step, state, layout)

    with monkeypatch.context() as patch:
        patch.setattr(progress, "training", telling)
        patch.setattr(checkpoint, "save", slow)
        with pytest.raises(SystemExit) as left:
            shared_run.do(folder, patch)
    assert (left.value.code, checkpoint.steps(folder / "checkpoints" / "warmup")) == (143, [2])


def test_a_run_is_refused_in_both(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"^eps: differs between processes"):
        shared_run.do(tmp_path / "run", monkeypatch, eps=1.0 + ME)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=("holds files of something else", "process 0")[ME]):
        shared_run.do(tmp_path / "run", monkeypatch)


def test_all_leave_with_the_code_of_the_first(monkeypatch, tmp_path):
    flags = types.SimpleNamespace(process=None, dry_run=False)
    monkeypatch.setattr(command, "flags", types.SimpleNamespace(FLAGS=flags))
    monkeypatch.setattr(command.settings, "from_flags", lambda: None)
    monkeypatch.setattr(run, "run", lambda *_, **__: tmp_path)
    if ME == 0:
        (tmp_path / "record.json").write_text("{}")
    monkeypatch.setattr(
        run, "failure", lambda record: (run.REFUTED, "refuted") if ME == 0 else refuse()
    )
    assert command.main(["run"]) == run.REFUTED


def test_what_one_says_all_know():
    assert [distributed.any_process(number == ME) for number in (0, 1, 2)] == [True, True, False]
    spread = distributed.place(np.arange(8.0), distributed.mesh(), jax.P("examples"))
    assert not spread.is_fully_addressable
    assert distributed.gather({"x": spread})["x"].tolist() == list(range(8))
