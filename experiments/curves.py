"""Write the table of measured curves that the package holds, from the committed records.

    python -m experiments.curves

`fpu plan` reads it; a test compares it with the records.
"""

import csv
import io
import pathlib

from fpu.commands import door
from fpu.files import storage
from fpu.report import measured, records

RESULTS = pathlib.Path(__file__).parent / "results"


def define_flags() -> None:
    """There are none."""


def main(_: list[str]) -> None:
    """Write measured.csv from every study."""
    text = table(records.read(sorted(RESULTS.glob("*.jsonl"))))
    storage.write(measured.PATH, text.encode())
    print(f"{measured.PATH}: {len(text.splitlines()) - 1} settings")


def table(runs: list[dict]) -> str:
    """The CSV of these records; numbers of four digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(measured.Row._fields)
    for row in measured.of(runs):
        writer.writerow([f"{cell:.4g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


if __name__ == "__main__":
    door.enter("experiments.curves")
