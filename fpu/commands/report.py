"""Records as tables and pictures: python -m experiments.report RECORDS... [--out=FILE.html] [--folder=DIR]

RECORDS are record.json files, or folders searched for record.json and *.record.json, here or in a bucket
(gs://...). Prints a markdown table; --out also writes tables, pictures, Pareto sets and the paper's claims as one
HTML page that needs no other file, --folder the same as PNG files (DATASET.png against eps, DATASET-n.png against
the number of members, DATASET-triangle.png, DATASET-roc.png, DATASET-paper.png), claims.md, pareto.md, and all runs
as runs.csv.
"""

from absl import flags

import fpu
from fpu import report
from fpu.files import storage


def define_flags() -> None:
    """Of this command alone: a test may import it beside another that has an --out too."""
    flags.DEFINE_string(
        "out",
        None,
        "Write tables, pictures and claims as one self-contained HTML page to this file.",
    )
    flags.DEFINE_string(
        "folder", None, "Write the pictures as PNG files, claims.md, pareto.md and runs.csv here."
    )


def main(argv: list[str]) -> None:
    """Read the records named in `argv[1:]`, print their table, write page, curves and lines if asked."""
    runs = report.read(argv[1:])
    text = report.table(runs)
    if flags.FLAGS.out is not None:
        _write("out", storage.place(flags.FLAGS.out), report.overview(runs).encode())
    if flags.FLAGS.folder is not None:
        for name, content in report.files(runs).items():
            _write("folder", storage.place(flags.FLAGS.folder) / name, content)
    print(text, end="")


def _write(flag: str, path, content: bytes) -> None:
    """The whole file or none of it."""
    try:
        storage.write(path, content)
    except (OSError, fpu.InputError) as error:
        why = getattr(error, "strerror", None) or error
        raise fpu.InputError(f"--{flag}: {path} cannot be written: {why}") from error
