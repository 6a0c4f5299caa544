"""Bad commands, typed as a user would: one line with the reason and what to write instead, exit code 2."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

# One process for all commands: most of the time would go into starting Python.
PROGRAM = """
import contextlib, io, json, sys
from absl import flags
from fpu.commands import door, run

run.define_flags()
errors = []
for command in json.load(sys.stdin):
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv = ["run", *command]
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        try:
            door.main(run)
        except SystemExit as end:
            errors.append((end.code, error.getvalue()))
print(json.dumps(errors))
"""

COMMANDS = {
    "--eps=1e-4 --steps=10000000 --sample_rate=1": [
        "10,000,000 steps, q = 1",
        "eps = 0.0001 cannot be reached at delta = 0.001",
        "the smallest is eps = 0.00057",
        "or use --steps=6889477",
    ],
    "--eps=1e9 --steps=10 --sample_rate=1": ["eps = 1e+09 cannot be reached", "the largest is eps"],
    "--eps=1 --delta=0.01": ["--delta=0.01", "1/n = 0.01", "left out"],
    "--eps=1 --steps=1e3": ["--steps"],
    "--eps=1e9": ["no plan for these flags", "ask for"],
    "--eps=1 --dataset=mnits": ["--dataset=mnits", "mnist"],
    "--eps=1 --dataset=none.npz": ["none.npz"],
    "--eps=1 --labels=0,10": ["--labels=0,10", "from 0 to 9"],
    "--eps=1 --set=model.widht=8": ["--set=model.widht", "did you mean width?"],
    "--noise_multiplier=1e-160": ["noise multiplier must be 0", "1e-160 is not"],
    "--eps=1 --n_public=29": ["--n_public=29", "100 members"],
    "--eps=1 --n_per_class=100000": ["--n_per_class=100000"],
    "--eps=1 --dataset=nan.npz": ["nan.npz", "uint8"],
    "--eps=inf --dataset=constant.npz": ["constant.npz", "the same image"],
    "--eps=1 --dataset=labels.npz": ["labels.npz"],
    "--eps=1 --workdir=gs://bucket/run": ["--workdir=gs://bucket/run", "this machine"],
    "--eps=1 --process=host:1": ["--process=host:1", "HOST:PORT/i/k"],
    "--eps=1 --process=host/0/2": ["--process=host/0/2", "HOST:PORT/i/k"],
    "--eps=1 --process=host:1/2/2": ["--process=host:1/2/2", "i is 0 to k - 1"],
    "--epochs=5": ["there is no --epochs", "--steps=N"],
    "--batch_size=64": ["there is no --batch_size", "--sample_rate=Q"],
    "--n_train=50": ["--n_train is gone", "--n_per_class=N"],
    "--subset=first": ["--subset is gone", "--set data.subset=first"],
    "--size=tiny": ["--size is gone", "--set model.size=tiny"],
    "--warmup=none": ["--warmup is gone", "--warmup_share=0"],
    "--warmup_steps=9": ["--warmup_steps is gone", "--draw_steps=N"],
    "--audit_runs=20": ["--audit_runs is gone", "--audit=two_worlds:N"],
    "--queries=1": ["--queries is gone", "--audit=paper:N"],
    "--coordinator=host:1": ["--coordinator is gone", "--process=HOST:PORT/i/k"],
    "--process_id=0": ["--process_id is gone", "--process=HOST:PORT/i/k"],
    "--num_processes=2": ["--num_processes is gone", "--process=HOST:PORT/i/k"],
}


def write(path, images, labels):
    np.savez(path, train_images=images, train_labels=labels)


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """{command: (exit code, stderr)}, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("user")
    labels = np.arange(60) % 3
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    write(folder / "nan.npz", np.full((60, 8, 8), np.nan, np.float32), labels)
    write(folder / "constant.npz", np.full_like(images, 7), labels)
    write(folder / "labels.npz", images, np.full(60, np.nan))
    few = ["--model=vae", "--n_per_class=10"]
    commands = [[*few, *command.split()] for command in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
    )
    return dict(zip(COMMANDS, json.loads(done.stdout), strict=True)), folder


@pytest.mark.parametrize("command", COMMANDS)
def test_is_refused_in_one_line(refused, command):
    code, line = refused[0][command]
    assert code == 2, line
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    for words in COMMANDS[command]:
        assert words in line


def test_nothing_is_left_behind(refused):
    assert sorted(p.name for p in refused[1].iterdir()) == ["constant.npz", "labels.npz", "nan.npz"]
