"""fpu: differentially private image generators, judged on fidelity, privacy and utility at once."""

__version__ = "0.1.0"


class InputError(ValueError):
    """Bad input from the person at the keyboard: one line that names the flag or file, and the fix.

    Entry points print it without a traceback and exit with code 2.
    """
