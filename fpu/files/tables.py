"""Small tables that a user writes: CSV files, bounded, with a header."""

import csv
import io
from pathlib import Path

from fpu import InputError
from fpu.files import safe

_MOST_BYTES = 2**28
_DELIMITERS = ",;\t"  # the second is what spreadsheets write where the comma is decimal

Row = tuple[int, dict[str, str]]  # number of its line; cells by the name of their column


def read(path: Path) -> tuple[list[str], list[Row]]:
    """(names of the columns in lower case, rows) of a CSV file in UTF-8. Blank lines are left out, cells stripped.

    The delimiter is the comma, semicolon or tab that the header holds most of. Raises InputError, naming the line.
    """
    with safe.one_line(path, "a CSV file in UTF-8"):
        text = safe.read_text(path, _MOST_BYTES)
        head = text.partition("\n")[0]
        lines = csv.reader(
            io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=head.count), strict=True
        )
        cells = [(lines.line_num, [cell.strip() for cell in line]) for line in lines]
    cells = [(number, line) for number, line in cells if any(line)]
    if not cells:
        raise InputError(f"{path}: is empty; its first line names the columns")
    columns = [name.lower() for name in cells[0][1]]
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise InputError(f"{path}: two columns are called {twice[0] or 'nothing'}")
    for number, line in cells:
        if len(line) != len(columns):
            raise InputError(
                f"{path}, line {number}: has {len(line)} cells, the header {len(columns)}"
            )
    return columns, [(n, dict(zip(columns, line, strict=True))) for n, line in cells[1:]]
