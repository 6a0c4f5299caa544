"""Records as a table: python -m experiments.report RECORDS... [--out=FILE.html]

RECORDS are record.json files, or folders searched for record.json and *.record.json. Prints a
markdown table; --out also writes it as one HTML page that needs no other file.
"""

import contextlib
import os
from pathlib import Path

from absl import flags

import fpu
from experiments import cli
from fpu import report


def define_flags() -> None:
    """Of this command alone: a test may import it beside another that has an --out too."""
    flags.DEFINE_string(
        "out", None, "Write the table as one self-contained HTML page to this file."
    )


def run(argv: list[str]) -> None:
    """Read the records named in `argv[1:]`, print their table, write the page if asked."""
    runs = report.read(argv[1:])
    text = report.table(runs)
    if flags.FLAGS.out is not None:
        _write(Path(flags.FLAGS.out), report.overview(runs))
    print(text, end="")


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    partial = path.parent / f".{path.name}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        fix = "name a file in a folder you may write to"
        raise fpu.InputError(f"--out={path}: {error.strerror}; {fix}") from error


if __name__ == "__main__":
    define_flags()
    cli.main(run)
