""".ci/ and the workflow that calls it: both are sound, and name what exists."""

import os
import pathlib
import subprocess
import tomllib

import yaml

ROOT = pathlib.Path(__file__).parents[1]


def test_the_workflow_calls_scripts_that_can_be_run():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = [step["run"].split()[0] for step in steps if "run" in step]
    assert called == [".ci/run", ".ci/wheel"]
    for script in called:
        assert os.access(ROOT / script, os.X_OK)
        subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_the_wheel_leaves_out_what_the_project_leaves_out():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = "\\n".join(project["tool"]["uv"]["exclude-dependencies"])
    assert f"'{left_out}\\n'" in (ROOT / ".ci/wheel").read_text(encoding="utf-8")
