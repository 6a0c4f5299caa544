"""fpu/commands/door.py: --help of every command, exit codes, and bad input in one line."""

import dataclasses
import json
import subprocess
import sys

import pytest

from fpu.commands import run
from fpu.pipeline import settings

PROGRAM = """
'''Say a number.

    fpu toy --width=4
'''
from absl import flags
import fpu

GROUPS = {"Common flags": ("width",)}
REPLACED = {"breadth": "write --width=N"}

def define_flags():
    flags.DEFINE_integer("width", 3, "Of the thing.", lower_bound=1)
    flags.DEFINE_multi_string("set", [], "Others.")

def main(argv):
    if flags.FLAGS.width == 9:
        raise fpu.InputError("--width=9: too much;\\n  write 8")
    print(flags.FLAGS.width, flags.FLAGS.verbosity)
    return flags.FLAGS.width - 3
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """(arguments, source) -> the finished process of a small command."""
    folder = tmp_path_factory.mktemp("toy")

    def program(*args, source=PROGRAM, before=""):
        (folder / "toy.py").write_text(source)
        enter = f"import sys; sys.path.insert(0, {str(folder)!r}); {before}\n"
        enter += "from fpu.commands import door; door.enter('toy')"
        # -B: the file may change within a second.
        command = [sys.executable, "-B", "-c", enter, *args]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return program


@pytest.mark.parametrize(("args", "code"), [([], 0), (["--width=8"], 5)])
def test_main_gets_the_flags_and_gives_the_exit_code(toy, args, code):
    done = toy(*args)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == f"{code + 3} -1\n"


@pytest.mark.parametrize(
    ("arg", "line"),
    [
        ("--widht=4", "unknown flag --widht: did you mean --width?"),
        ("--qqqqqqqq", "unknown flag --qqqqqqqq: --help lists the flags"),
        ("--breadth=4", "--breadth is gone: write --width=N"),
        ("--width=0", "flag --width=0: 0 is not a positive integer"),
        ("--width=9", "--width=9: too much; write 8"),
        ("extra", "extra: not a flag; write --name=value"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(toy, arg, line):
    done = toy(arg)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_a_line_an_example_and_the_commands_own_flags(toy, word):
    done = toy(word)
    assert (done.returncode, done.stderr) == (0, "")
    own = ["Common flags:", "  --width Of the thing.", "Flags:", "  --set   Others."]
    what, example, *lines = done.stdout.splitlines()
    assert (what, example) == ("Say a number.", "Example: python -m experiments.toy --width=4")
    assert lines == own


def test_helpfull_shows_what_absl_knows_and_is_no_failure(toy):
    done = toy("--helpfull")
    assert done.returncode == 0
    assert "--verbosity" in done.stdout
    assert "--width" in done.stdout


def test_on_windows_a_command_is_refused_before_it_is_imported(toy):
    done = toy(source="import fcntl_of_windows", before="sys.platform = 'win32'")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: fpu runs on Linux and macOS")
    assert done.stderr.count("\n") == 1


def test_sixty_four_bits_are_switched_off_with_a_line(toy):
    show = PROGRAM.replace(
        "    print(flags", "    import os; print(os.environ['JAX_ENABLE_X64'])\n    print(flags"
    )
    done = toy(source=show, before="import os; os.environ['JAX_ENABLE_X64'] = '1'")
    assert (done.returncode, done.stdout) == (0, "0\n3 -1\n")
    assert done.stderr == "JAX_ENABLE_X64 is ignored: fpu computes in 32 bits\n"


NO_HOME = "RuntimeError('Could not determine home directory.')"


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (NO_HOME, "~: there is no home folder here; write the whole path"),
        ("OSError(28, 'No', '/disk/file')", "/disk/file: No; free some space, then give the same"),
        ("OSError(30, 'No', '/disk/file')", "/disk/file: No; make it writable, then give the same"),
    ],
)
def test_no_home_folder_and_a_full_or_read_only_disk_are_one_line(toy, failure, line):
    done = toy(source=PROGRAM.replace("    print(flags", f"    raise {failure}\n    print(flags"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {line}")


COMMON = {
    "run": ["model", "eps", "dataset", "n_per_class", "seed", "workdir", "dry_run"],
    "generate": ["release", "out", "n"],
    "evaluate": ["synthetic", "dataset", "members", "out"],
    "sweep": ["out", "set", "preset", "dry_run"],
    "report": ["out", "folder"],
}


def flags_of(text):
    lines = (line.split() for line in text.splitlines() if line.startswith("  --"))
    return [words[0].removeprefix("--") for words in lines]


# One process for all: most of the time would go into starting Python.
HELP = """
import contextlib, io, json, runpy, sys
from absl import flags

told = {}
for name in sys.argv[1:]:
    before, out, error = set(flags.FLAGS), io.StringIO(), io.StringIO()
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            runpy.run_module(f"experiments.{name}", run_name="__main__")
        except SystemExit as end:
            told[name] = end.code, out.getvalue(), error.getvalue()
    for flag in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, flag)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def helps():
    """{command: (exit code, stdout, stderr) of --help}"""
    command = [sys.executable, "-c", HELP, *COMMON]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("name", COMMON)
def test_help_of_every_command_fits_a_screen(helps, name):
    code, text, error = helps[name]
    assert (code, error) == (0, "")
    what, example, *lines = text.splitlines()
    assert what[0].isupper()
    assert what.endswith(".")
    assert example.startswith(f"Example: python -m experiments.{name} ")
    assert flags_of(text)[: len(COMMON[name])] == COMMON[name]
    assert len(lines) < 48
    assert max(map(len, text.splitlines())) <= 120
    assert max(map(len, lines)) <= 100
    if name == "run":
        fields = {field.name for field in dataclasses.fields(settings.Options)}
        assert set(flags_of(text)) == fields | {"process", "dry_run"}
        titles = " ".join(line for line in lines if not line.startswith(" "))
        wanted = "Common flags: Data: Privacy: Training: Evaluation: Several machines: Research:"
        assert titles == wanted


def test_a_process_is_an_address_its_number_and_how_many():
    assert run.process(None) == ()
    assert run.process("host:7777/1/2") == ("host:7777", 1, 2)
    assert run.process("[::1]:7777/0/16") == ("[::1]:7777", 0, 16)
