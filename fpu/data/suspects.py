"""Arrays and columns that look like patients under another name: ignored, they would change the guarantee."""

import re
from collections.abc import Sequence
from pathlib import Path

from fpu import InputError

_LOOKS_LIKE_GROUPS = re.compile(
    r"group|patient|subject|person|participant|individual|scan|study|series|volume|case|(^|_)(p|s|u)id(s|$)|mrn",
    re.IGNORECASE,
)


def refuse(path: str | Path, names: Sequence[str], kind: str, wanted: str) -> None:
    """InputError for the first of `names` that may say which images are of one patient.

    Args:
      kind: "array" or "column".
      wanted: the name under which it is read.
    """
    for name in names:
        if _LOOKS_LIKE_GROUPS.search(name):
            raise InputError(
                f"{path}: its {kind} {name} looks like patients, and is not read under that name: several images of "
                f"one patient would not be protected together; rename it to {wanted}, or remove it"
            )
