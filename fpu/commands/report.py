"""Compare runs: tables on the screen, tables and figures as one HTML page or a folder.

    fpu report runs --out=comparison.html
    fpu report gs://BUCKET/records study.jsonl --folder=results

RECORDS are record.json files, .jsonl files of one record a line, or folders that hold such files, here or in a bucket
(gs://...). Prints a markdown table. --out also writes tables, figures and Pareto sets as one HTML page that needs no
other file. --folder writes the figures as PNG files (DATASET.png against eps, DATASET-n.png against the number of
members, DATASET-triangle.png, DATASET-roc.png), pareto.md, and all runs as runs.csv.
"""

from collections.abc import Callable, Sequence

from absl import flags

import fpu
from fpu import report
from fpu.files import storage
from fpu.report.records import Place

WORDS = ""  # takes files and folders


def define_flags() -> None:
    flags.DEFINE_string(
        "out", None, "write tables and figures as one self-contained HTML page to this file"
    )
    flags.DEFINE_string(
        "folder", None, "write the figures as PNG files, pareto.md and runs.csv here"
    )


def main(argv: list[str], extras: Callable[[Sequence[dict]], report.Extras] | None = None) -> None:
    """Read the records named in `argv[1:]`, print their table, write page and folder if asked.

    extras: called with the records; what it returns is added to page and folder.
    """
    runs = report.read(argv[1:])
    text = report.table(runs)
    out, folder = flags.FLAGS.out, flags.FLAGS.folder
    if out is not None or folder is not None:
        shown = report.comparison(runs, extras)
        if out is not None:
            _write("out", storage.place(out), report.overview(shown).encode())
        if folder is not None:
            for name, content in report.files(shown).items():
                _write("folder", storage.place(folder) / name, content)
    print(text, end="")


def _write(flag: str, path: Place, content: bytes) -> None:
    try:
        storage.write(path, content)
    except (OSError, fpu.InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise fpu.InputError(f"--{flag}: {path} cannot be written: {reason}") from error
