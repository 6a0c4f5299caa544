"""Functions of many rows in calls of one size: one compiled program, and rows that do not see one another."""

from collections.abc import Callable

import numpy as np

CHUNK = 1000  # rows in a call


def each_alone(
    function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, chunk: int = CHUNK
) -> np.ndarray:
    """function(rows) in calls of `chunk` rows, the last ones zeros that fill up.

    Raises ValueError where `function` does not give a row for each.

    **Guarantees.** Where `function` maps each row alone, not even its rounding depends on how many others there are.
    """
    missing = chunk * max(1, -(-len(rows) // chunk)) - len(rows)
    padded = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
    parts = [function(padded[i : i + chunk]) for i in range(0, len(padded), chunk)]
    if any(len(part) != chunk for part in parts):
        raise ValueError("encode must give one code for each image")
    return np.concatenate(parts)[: len(rows)]
