"""Write the table of measured curves that the package holds, from the committed records.

    python -m experiments.curves

`fpu plan` reads it; a test compares it with the records.
"""

import pathlib

import pandas as pd

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
    table = pd.DataFrame(measured.of(runs), columns=measured.Row._fields)
    return table.to_csv(index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    door.enter("experiments.curves")
