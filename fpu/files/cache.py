"""The cache of this user: downloads, and numbers kept under the hash of the question they answer.

Of private data only numbers are kept: never an image, a model or a logit.
"""

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fpu import InputError
from fpu.files import safe


def home() -> Path | None:
    """The home folder; None where there is none (a container's user without an entry)."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def folder(name: str = "", write: bool = True) -> Path | None:
    """The folder `name` of $XDG_CACHE_HOME/fpu or ~/.cache/fpu, made where it is absent.

    None, with one line on stderr the first time, where it cannot be made or, with `write`, not be written: work goes on
    without a cache.
    """
    chosen, own = os.environ.get("XDG_CACHE_HOME"), home()
    if chosen:
        base = Path(chosen) / "fpu"
    elif own:
        base = own / ".cache" / "fpu"
    else:
        return _without("no home folder")
    path = base / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _without(f"{base}: {error.strerror}")
    if write and not os.access(path, os.W_OK | os.X_OK):
        return _without(f"{base}: cannot write here")
    return path


@functools.cache
def _without(reason: str) -> None:
    print(f"no cache ({reason}); set XDG_CACHE_HOME to a folder you may write to", file=sys.stderr)


def digest(*arrays: np.ndarray) -> str:
    """sha256 of arrays: contents, shapes and types."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def fingerprint(value: Any) -> str:
    """sha256 of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def remembered(folder: Path | None, question: Any, solve: Callable[[], Any]) -> Any:
    """What `solve` returns, read from the folder if the same question has been asked before.

    Args:
      folder: for these answers alone, made with mode 700; None: nothing is kept.
      question: JSON-able; all that the answer depends on.
      solve: () -> JSON-able.

    A file that is damaged, or of another question, is solved and written again. A folder that
    cannot be written costs time, nothing else.
    """
    if folder is None:
        return solve()
    asked = json.dumps(question, sort_keys=True)
    path = folder / f"{fingerprint(question)}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["question"] == asked and stored["sha256"] == fingerprint(stored["answer"]):
            return stored["answer"]
    answer = solve()
    with contextlib.suppress(OSError, InputError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        text = json.dumps({"question": asked, "sha256": fingerprint(answer), "answer": answer})
        safe.write_text(path, text)
    return answer
