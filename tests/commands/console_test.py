"""fpu/commands/console.py: the command `fpu`, and the wheel that brings it."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

from fpu.commands import console

ROOT = pathlib.Path(__file__).parents[2]


def fpu(*args):
    command = [sys.executable, "-m", "fpu", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def told(monkeypatch, capsys):
    """(words) -> exit code, stdout and stderr of what needs no other process."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["fpu", *args])
        try:
            code = console.main()
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return call


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(told, args):
    code, out, error = told(*args)
    assert (code, error) == (0, "")
    for name in console.COMMANDS:
        assert f"\n  fpu {name} " in out
    assert all(len(line) <= 120 for line in out.splitlines())


def test_the_version_is_told_and_an_unknown_command_names_the_nearest(told):
    assert told("--version") == (0, "fpu 0.1.0\n", "")
    code, out, error = told("genrate", "--n=5")
    assert (code, out) == (2, "")
    assert error.startswith("error: genrate is no command: did you mean generate? (known:")


def test_a_command_has_its_flags_and_its_errors():
    done = fpu("plan", "--help")
    assert done.returncode == 0
    assert "\nExample: fpu plan --dataset=" in done.stdout
    assert "\n  --dataset " in done.stdout
    done = fpu("plan", "--eps=0")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: --eps=0: ")


def test_the_wheel_holds_fpu_alone_with_all_its_files(tmp_path):
    build = "from hatchling.builders.wheel import WheelBuilder; import sys; "
    build += "print(*WheelBuilder('.').build(directory=sys.argv[1], versions=['standard']))"
    command = [sys.executable, "-c", build, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    with zipfile.ZipFile(done.stdout.strip()) as wheel:
        names = set(wheel.namelist())
        (entry,) = (name for name in names if name.endswith("entry_points.txt"))
        scripts = wheel.read(entry).decode()
        (about,) = (name for name in names if name.endswith("METADATA"))
        metadata = wheel.read(about).decode()
    assert {name.split("/")[0] for name in names} == {"fpu", entry.split("/")[0]}
    assert "fpu = fpu.commands.console:main" in scripts
    assert "Operating System :: MacOS" in metadata
    kinds = (".py", ".css", ".html", ".js", ".md", ".npz")
    found = (path for path in (ROOT / "fpu").rglob("*") if path.suffix in kinds)
    files = {str(path.relative_to(ROOT)) for path in found}
    assert files <= names
    assert any(name.endswith(".css") for name in files)
