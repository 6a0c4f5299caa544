"""fpu/distributed.py, fpu/dp/sharding.py and fit on a mesh, in processes of their own that see several devices."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys

import environment
import jax
import numpy as np
import pytest
import shared_run
from refusal import refused

from fpu import InputError, distributed

SUPPORT = pathlib.Path(__file__).parents[1] / "support"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(*commands, **options):
    """A process for each command; none is left."""
    options |= {"stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, *command], **options) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def passes(folder, file, devices, *environments):
    """pytest on a file of tests/support passes in a process for each environment that sees so many devices.

    Each has temporary files of its own in `folder`: where several make and remove numbered folders side by side, pytest
    can leave the listing of them open, and tells it as a warning.

    One file after the other: together they would need twice the memory, and the cores are busy anyway.
    """
    environment.forget()
    count = f"--xla_force_host_platform_device_count={devices}"
    settings = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {count}",
        "NPROC": "16",  # threads: collectives of more devices than cores wait for each other
        "MALLOC_ARENA_MAX": "2",  # else each thread keeps the memory that it has compiled in
        "JAX_ENABLE_COMPILATION_CACHE": "0",  # the session's is of one device
    }
    command = "-m", "pytest", "-x", "-p", "no:cacheprovider", str(SUPPORT / file)
    with contextlib.ExitStack() as held:
        each = [
            running(
                (*command, f"--basetemp={folder / f'files of {i}'}"),
                env=settings | own,
                stderr=subprocess.STDOUT,
            )
            for i, own in enumerate(environments)
        ]
        for (process,) in [held.enter_context(one) for one in each]:
            output, _ = process.communicate(timeout=1200)
            assert process.returncode == 0, output[-6000:]


def test_all_tests_pass_on_four_devices(tmp_path):
    passes(tmp_path, "four_devices.py", 4, {})


def test_all_tests_pass_in_two_processes_and_a_run_of_both_is_that_of_one(tmp_path, monkeypatch):
    shared = {"RUNS": str(tmp_path), "COORDINATOR": f"127.0.0.1:{free_port()}"}
    passes(tmp_path, "two_processes.py", 2, *(shared | {"PROCESS": str(i)} for i in range(2)))
    two = tmp_path / "two"
    one = two.with_name("one")
    shared_run.do(one, monkeypatch)
    images = [np.load(f / "release" / "synthetic.npz")["train_images"] for f in (one, two)]
    apart = np.abs(images[0].astype(int) - images[1])
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01
    scores = [dict(np.load(f"{name}.npz")) for name in (f"{one}.0", f"{two}.0", f"{two}.1")]
    assert len(scores[0]) > 0
    for name, wanted in scores[0].items():
        for values in scores[1:]:
            np.testing.assert_allclose(values[name], wanted, rtol=1e-3, atol=1e-3)


@pytest.fixture
def started(monkeypatch):
    """Calls of jax.distributed.initialize, which are not made."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given, **_: calls.append(given))
    monkeypatch.setattr(distributed.importlib.util, "find_spec", lambda name: None)
    for name in distributed._SLURM:
        monkeypatch.delenv(name, raising=False)
    return calls


@pytest.mark.parametrize(
    ("given", "calls"),
    [((), []), (("127.0.0.1:1", 0, 1), []), (("host:1234", 1, 2), [("host:1234", 2, 1)])],
)
def test_an_address_is_passed_on_but_for_a_single_process(started, given, calls):
    distributed.initialize(*given)
    assert started == calls


SHELL = ("SLURM_JOB_ID", "SLURM_NTASKS")  # what is set in a job, outside of its tasks


@pytest.mark.parametrize(
    ("names", "tasks", "calls"),
    [(distributed._SLURM, "1", []), (distributed._SLURM, "4", [()]), (SHELL, "4", [])],
)
def test_slurm_is_asked_in_one_of_several_tasks(started, monkeypatch, names, tasks, calls):
    for name in names:
        monkeypatch.setenv(name, tasks)
    distributed.initialize()
    assert started == calls


def test_a_tpu_host_is_asked_and_its_library_alone_is_none(started, monkeypatch):
    monkeypatch.setattr(distributed.importlib.util, "find_spec", lambda name: name == "libtpu")
    distributed.initialize()
    assert started == [()]
    for reason, no_tpu in (("coordinator_address should be defined.", True), ("else", False)):

        def fail(reason=reason, **_):
            raise ValueError(reason)

        monkeypatch.setattr(jax.distributed, "initialize", fail)
        if no_tpu:
            distributed.initialize()
        else:
            with pytest.raises(ValueError, match=reason):
                distributed.initialize()


@pytest.mark.parametrize("address", ["host", "host:99999"])
def test_an_address_without_a_port_is_refused(started, address):
    with refused(f"coordinator={address}:"):
        distributed.initialize(address, 0, 2)
    assert started == []


def test_a_port_that_is_taken_is_refused_by_the_process_that_would_listen_there(started):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InputError, match=f"coordinator={where}: .*name a free port"):
            distributed.initialize(where, 0, 2)
        assert started == []
        distributed.initialize(where, 1, 2)
    assert started == [(where, 2, 1)]


def test_one_process_agrees_with_itself_and_keeps_its_key():
    key = jax.random.key(2**31)
    distributed.check_same(key=key, value=np.ones(2))
    same = distributed.broadcast_key(key)
    assert jax.random.key_data(same).tolist() == jax.random.key_data(key).tolist()


def test_digests_tell_values_apart_but_not_where_they_lie():
    array = np.arange(4, dtype=np.int32)
    different = [array, array[:3], array.reshape(2, 2), array.astype(np.uint32), "a", 1, 2]
    keys = [jax.random.key(0), jax.random.key(1)]
    digests = {distributed._digest(leaf).tobytes() for leaf in (*different, *keys)}
    assert len(digests) == len(different) + len(keys)
    assert np.array_equal(distributed._digest(array), distributed._digest(jax.numpy.asarray(array)))


def test_a_process_that_was_joined_still_ends_when_it_is_told_to():
    """jax.distributed alone would swallow SIGTERM."""
    program = (
        "import time, jax; from fpu import distributed; "
        f"distributed._start('127.0.0.1:{free_port()}', 1, 0); print('up', flush=True); time.sleep(60)"
    )
    with running(["-c", program]) as (process,):
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM


LEAVES = """
import sys, types
from fpu import InputError
from fpu.commands import door
from fpu import distributed

def run(argv):
    distributed.initialize({where!r}, {number}, 2)
    print("up", flush=True)
    sys.stdin.readline()
    raise {error}

door.main(types.SimpleNamespace(main=run))
"""


def test_a_process_that_leaves_does_not_wait_for_the_others_and_keeps_its_code():
    """jax would abort it after ten seconds, with 134."""
    where = f"127.0.0.1:{free_port()}"
    ends = enumerate(("InputError('no')", "SystemExit(143)"))
    commands = [["-c", LEAVES.format(where=where, number=i, error=error)] for i, error in ends]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running(*commands, **pipes) as pair:
        assert [process.stdout.readline() for process in pair] == ["up\n"] * 2
        for process, code, said in ((pair[1], 143, ""), (pair[0], 2, "error: no\n")):
            process.stdin.write("\n")
            process.stdin.flush()
            assert (process.wait(8), process.stderr.read()) == (code, said)
