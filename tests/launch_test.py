"""launch/: every launcher says what it would do, and calls commands and flags that exist."""

import re
import shutil
import subprocess

import pytest
import yaml
from imports_test import ROOT

from experiments import grids, sweep

LAUNCH = ROOT / "launch"
SCRIPTS = ("slurm.sbatch", "tpu_vm.sh")


def said(script, *args, **env):
    done = subprocess.run(
        ["bash", LAUNCH / script, *args],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"} | env,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound(script):
    subprocess.run(["bash", "-n", LAUNCH / script], check=True)
    if checker := shutil.which("shellcheck"):
        subprocess.run([checker, LAUNCH / script], check=True)


@pytest.mark.parametrize(
    ("env", "shard"),
    [
        ({}, "0/1"),
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_COUNT": "8",
                "SLURM_ARRAY_TASK_MIN": "0",
            },
            "3/8",
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "8",
                "SLURM_ARRAY_TASK_COUNT": "8",
                "SLURM_ARRAY_TASK_MIN": "1",
            },
            "7/8",
        ),
    ],
)
def test_a_slurm_task_does_its_shard(env, shard):
    code, out, _ = said("slurm.sbatch", "--dry-run", "--out=records", "--preset=smoke", **env)
    assert code == 0
    assert out.split() == [
        *("uv", "run", "python", "-m", "experiments.sweep"),
        *(f"--shard={shard}", "--out=records", "--preset=smoke"),
    ]
    sweep.shard(shard, [])


def test_a_tpu_is_deleted_whatever_happens():
    flags = "--name=n", "--zone=z", "--type=v4-8"
    code, out, _ = said("tpu_vm.sh", "--dry-run", *flags, "--", "experiments.run", "--eps=1")
    assert code == 0
    steps = [line.split()[4] for line in out.splitlines() if line.startswith("gcloud")]
    assert steps == ["create", "scp", "ssh", "scp", "delete"]
    assert "experiments.run" in out
    code, _, err = said("tpu_vm.sh", "--dry-run", "--name=n")
    assert (code, err.count("\n")) == (2, 1)


def commands(text):
    """(module, preset) of every command of fpu in a launcher, whose module must exist."""
    modules = set(re.findall(r"\b(experiments\.\w+)", text))
    return modules, set(re.findall(r"--preset=(\w+)", text))


@pytest.mark.parametrize("path", sorted(p.name for p in LAUNCH.iterdir()))
def test_launchers_name_modules_and_presets_that_exist(path):
    modules, presets = commands((LAUNCH / path).read_text())
    assert modules
    for module in modules:
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    assert presets <= set(grids.GRIDS)


def test_the_job_gives_every_pod_its_shard():
    job = yaml.safe_load((LAUNCH / "kubernetes.yaml").read_text())
    spec = job["spec"]
    assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
    (container,) = spec["template"]["spec"]["containers"]
    assert f'--shard="${{JOB_COMPLETION_INDEX}}/{spec["completions"]}"' in container["args"][0]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def test_the_task_keeps_its_runs_where_the_next_machine_finds_them():
    task = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    assert {"resources", "setup", "run", "envs", "file_mounts"} <= set(task)
    assert "ln -sfn /outputs/runs runs" in task["run"]
    sweep.shard(task["envs"]["SHARD"], [])
    sweep.cells([], task["envs"]["FLAGS"].removeprefix("--preset="))


def test_the_image_holds_no_data_and_no_run():
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert set(copied) == {
        "pyproject.toml",
        "uv.lock",
        "README.md",
        "LICENSE",
        "fpu",
        "experiments",
    }
    assert "USER fpu" in lines
