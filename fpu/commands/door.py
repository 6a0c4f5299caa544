"""The door of every command: flags and --help in, an exit code out, bad input in one line.

A command is a module with `define_flags()` and `main(argv) -> exit code or None`. Importing it defines no flag: several
have an --out, and a test may import two. Its docstring begins with one line that says what it does; the first indented
line of it is an example. GROUPS, {title: names of flags}, orders --help; REPLACED, {old flag: what to write instead},
refuses flags that are gone; HINTS, of the same form, flags that never were; WORDS says what to write instead of a word
that is no flag, "" where the command takes words.
"""

import difflib
import errno
import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from absl import app, flags

import fpu

WIDTH = 100  # columns of --help
_CONTINUE = "then give the same command again: what was written is whole"
_DISK = {
    errno.ENOSPC: f"free some space, {_CONTINUE}",
    errno.EDQUOT: f"free some space, {_CONTINUE}",
    errno.EROFS: f"make it writable, {_CONTINUE}",
}


def enter(module: str, program: str | None = None) -> None:
    """Import a command, define its flags and run it. program: how the user calls it, for --help."""
    if sys.platform == "win32":  # files are locked with fcntl
        sys.exit(refuse("fpu runs on Linux and macOS; on Windows use WSL or launch/Dockerfile"))
    if os.environ.get("JAX_ENABLE_X64", "").lower() in ("1", "true", "yes", "on", "y", "t"):
        print("JAX_ENABLE_X64 is ignored: fpu computes in 32 bits", file=sys.stderr)
        os.environ["JAX_ENABLE_X64"] = "0"
    command = importlib.import_module(module)
    before = set(flags.FLAGS)
    command.define_flags()
    names = [name for name in flags.FLAGS if name not in before]
    program = program or f"python -m experiments.{module.rpartition('.')[2]}"
    main(command, help_text(command, names, program))


def main(command: Any, text: str = "") -> None:
    """Parse the flags, call `command.main(argv)` and exit with what it returns (None is 0).

    Bad input, be it a flag absl refuses or an `fpu.InputError`, and a disk that is full or read-only, is a line
    `error: ...` on stderr and exit code 2. Every other exception keeps its traceback: it is a fault of fpu.

    text: what --help prints.
    """
    instead = getattr(command, "WORDS", "write --name=value")

    def guarded(argv: list[str]) -> int | None:
        try:
            if len(argv) > 1 and instead:
                raise fpu.InputError(f"{argv[1]}: not a flag; {instead}")
            code = command.main(argv)
        except fpu.InputError as error:
            code = refuse(error)
        except SystemExit as stopped:
            code = stopped.code
        except RuntimeError as error:
            if "home directory" not in str(error):  # what pathlib says of ~
                raise
            code = refuse("~: there is no home folder here; write the whole path")
        except OSError as error:
            if error.errno not in _DISK:
                raise
            code = refuse(f"{error.filename or 'a disk'}: {error.strerror}; {_DISK[error.errno]}")
        if code and _of_several():
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)
        return code if isinstance(code, int) else int(code is not None)

    app.run(guarded, flags_parser=lambda argv: _parse(argv, command, text))


def refuse(problem: object) -> int:
    """Print the problem as one line on stderr; the exit code of bad input."""
    print("error:", " ".join(str(problem).split()), file=sys.stderr)
    return 2


def help_text(command: Any, names: Sequence[str], program: str) -> str:
    """What --help prints: a line, an example, and the flags by group. names: in the order of their definition."""
    lines = (command.__doc__ or "").splitlines()
    example = next((line.strip() for line in lines if line.startswith("    ")), "")
    example = example.replace(f"fpu {command.__name__.rpartition('.')[2]} ", f"{program} ", 1)
    groups = dict(getattr(command, "GROUPS", {}))
    grouped = {name for group in groups.values() for name in group}
    groups["Flags"] = [name for name in names if name not in grouped]
    column = max(map(len, names), default=0) + 5
    printed = [*lines[:1], f"Example: {example}"]
    for title, group in groups.items():
        if group:
            printed += [f"{title}:", *(_flag(name, column) for name in group)]
    return "\n".join(printed)


def _flag(name: str, column: int) -> str:
    text = str(flags.FLAGS[name].help).partition(";\n")[0]  # absl adds a hint where repeatable
    return textwrap.fill(
        text,
        width=WIDTH,
        initial_indent=f"  --{name}".ljust(column),
        subsequent_indent=" " * column,
    )


def _parse(argv: list[str], command: Any, text: str) -> list[str]:
    """The words that are no flags. Exits where a flag is refused, and after --help."""
    if text and {"--help", "-help", "-h"} & set(argv[1:]):
        print(text)
        sys.exit(0)
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        sys.exit(refuse(_unknown(error.flagname, command)))
    except flags.Error as error:
        sys.exit(refuse(error))
    except SystemExit:  # --helpfull: absl exits with 1, but help that was asked for is no failure
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = -1  # warnings; absl would show what every library logs
    return rest


def _of_several() -> bool:
    """Whether this is one of several processes: a normal exit would wait for the others, and jax would then abort it
    with a code of its own."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def _unknown(name: str, command: Any) -> str:
    for table, said in (("REPLACED", "--{} is gone"), ("HINTS", "there is no --{}")):
        if instead := getattr(command, table, {}).get(name):
            return f"{said.format(name)}: {instead}"
    names = [flag for flag in flags.FLAGS if len(flag) > 1]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean --{nearest[0]}?" if nearest else "--help lists the flags"
    return f"unknown flag --{name}: {hint}"
