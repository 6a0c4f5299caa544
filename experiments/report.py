"""Records as tables and curves: python -m experiments.report RECORDS... [--out=FILE.html] [--folder=DIR]

RECORDS are record.json files, or folders searched for record.json and *.record.json. Prints a
markdown table; --out also writes tables and curves as one HTML page that needs no other file, --folder the
curves as DATASET.png and all runs as runs.csv.
"""

from pathlib import Path

from absl import flags

import fpu
from experiments import cli
from fpu import readers, report


def define_flags() -> None:
    """Of this command alone: a test may import it beside another that has an --out too."""
    flags.DEFINE_string(
        "out", None, "Write tables and curves as one self-contained HTML page to this file."
    )
    flags.DEFINE_string("folder", None, "Write a PNG of curves per data set, and runs.csv, here.")


def run(argv: list[str]) -> None:
    """Read the records named in `argv[1:]`, print their table, write page, curves and lines if asked."""
    runs = report.read(argv[1:])
    text = report.table(runs)
    if flags.FLAGS.out is not None:
        _write("out", Path(flags.FLAGS.out), report.overview(runs).encode())
    if flags.FLAGS.folder is not None:
        folder = Path(flags.FLAGS.folder)
        files = {f"{Path(name).stem}.png": png for name, png in report.pngs(runs).items()}
        for name, content in (files | {"runs.csv": report.csv(runs).encode()}).items():
            _write("folder", folder / name, content)
    print(text, end="")


def _write(flag: str, path: Path, content: bytes) -> None:
    """The whole file or none of it."""
    try:
        with readers.atomic(path) as part:
            part.write_bytes(content)
    except (OSError, fpu.InputError) as error:
        why = getattr(error, "strerror", None) or error
        raise fpu.InputError(f"--{flag}: {path} cannot be written: {why}") from error


if __name__ == "__main__":
    define_flags()
    cli.main(run)
