"""fpu: differentially private image generators, judged on fidelity, privacy and utility at once."""

import difflib
from collections.abc import Iterable

__version__ = "0.1.0"


class InputError(ValueError):
    """Bad input from the person at the keyboard: one line that names the flag or file, and the fix.

    Entry points print it without a traceback and exit with code 2.
    """


def nearest(value: str, known: Iterable[str]) -> str:
    """ "did you mean X? (known: X, Y)"; "choose" where nothing is near."""
    near = difflib.get_close_matches(value.lower(), list(known), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else "choose"
    return f"{hint} (known: {', '.join(known)})"
