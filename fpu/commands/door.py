"""The door of every command: flags in, an exit code out, bad input told in one line."""

import difflib
import errno
import os
import sys
import types
from collections.abc import Callable

from absl import app, flags

import fpu

_ON = "then give the same command again: what was written is whole"
_DISK = {
    errno.ENOSPC: f"free some space, {_ON}",
    errno.EDQUOT: f"free some space, {_ON}",
    errno.EROFS: f"make it writable, {_ON}",
}


def enter(command: types.ModuleType) -> None:
    """Define the flags of a command, a module of this folder, and run its `main`."""
    command.define_flags()
    main(command.main)


def main(run: Callable[[list[str]], int | None]) -> None:
    """Parse the flags, call `run(argv)` and exit with what it returns (None is 0).

    Bad input, be it a flag absl refuses or an `fpu.InputError`, and a disk that is full or read-only, is a line
    `error: ...` on stderr and exit code 2. Every other exception keeps its traceback: it is a fault of ours.
    """

    def guarded(argv: list[str]) -> int | None:
        try:
            code = run(argv)
        except fpu.InputError as error:
            code = _refuse(error)
        except SystemExit as left:
            code = left.code
        except OSError as error:
            if error.errno not in _DISK:
                raise
            code = _refuse(f"{error.filename or 'a disk'}: {error.strerror}; {_DISK[error.errno]}")
        if code and _of_several():
            sys.stdout.flush()
            os._exit(code)
        return code

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        sys.exit(_refuse(_unknown(error.flagname)))
    except flags.Error as error:
        sys.exit(_refuse(error))
    except SystemExit:  # --help: absl exits with 1, but help that was asked for is no failure
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = -1  # warnings; absl would turn every library's chatter on
    return rest


def _of_several() -> bool:
    """Whether this is one of several processes: to leave as usual is to wait for the others, and then to be
    aborted by jax with a code of its own."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def _unknown(name: str) -> str:
    known = [flag for flag in flags.FLAGS if len(flag) > 1]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean --{nearest[0]}?" if nearest else "--help lists the flags"
    return f"unknown flag --{name}: {hint}"


def _refuse(problem: object) -> int:
    print("error:", " ".join(str(problem).split()), file=sys.stderr)
    return 2
