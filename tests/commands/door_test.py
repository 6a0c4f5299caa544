import subprocess
import sys

import pytest

PROGRAM = """
'''A program.'''
from absl import flags
import fpu
from fpu.commands import door

WIDTH = flags.DEFINE_integer("width", 3, "Of the thing.", lower_bound=1)

def run(argv):
    if len(argv) > 1:
        raise fpu.InputError(f"{argv[1]}: too much;\\n  leave it out")
    print(WIDTH.value, flags.FLAGS.verbosity)
    return WIDTH.value - 3

door.main(run)
"""


def program(*args):
    command = [sys.executable, "-c", PROGRAM, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("args", "code"), [([], 0), (["--width=8"], 5)])
def test_run_gets_the_flags_and_gives_the_exit_code(args, code):
    done = program(*args)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == f"{code + 3} -1\n"


@pytest.mark.parametrize(
    ("arg", "line"),
    [
        ("--widht=4", "unknown flag --widht: did you mean --width?"),
        ("--qqqqqqqq", "unknown flag --qqqqqqqq: --help lists the flags"),
        ("--width=0", "flag --width=0: 0 is not a positive integer"),
        ("extra", "extra: too much; leave it out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arg, line):
    done = program(arg)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")


def test_help_is_no_failure():
    done = program("--help")
    assert done.returncode == 0
    assert "Of the thing." in done.stdout or "--helpfull" in done.stdout


@pytest.mark.parametrize(("number", "words"), [(28, "free some space"), (30, "make it writable")])
def test_a_full_or_read_only_disk_is_one_line(number, words):
    failing = PROGRAM.replace(
        "    print(WIDTH", f'    raise OSError({number}, "No", "/disk/file")\n    print(WIDTH'
    )
    done = subprocess.run(
        [sys.executable, "-c", failing], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: /disk/file: No; {words}, then give the same command")
    assert done.stderr.count("\n") == 1
