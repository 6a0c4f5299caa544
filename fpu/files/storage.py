"""Paths of records: in a folder of this machine, or in a bucket (gs://, s3://, az://) through etils.epath."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from etils import epath

from fpu import InputError
from fpu.files import safe

SCHEMES = ("gs://", "s3://", "az://")
AnyPath = pathlib.Path | epath.Path


def place(text: str | os.PathLike) -> AnyPath:
    """The path that a user names; `~` is the home folder. InputError for another kind of address than SCHEMES."""
    text = str(text)
    if "://" in text and not text.startswith(SCHEMES):
        raise InputError(
            f"{text}: name a folder of this machine, or {', '.join(SCHEMES)}BUCKET/..."
        )
    return epath.Path(text) if remote(text) else pathlib.Path(text).expanduser()


def remote(path: str | os.PathLike) -> bool:
    """Whether a path is in a bucket."""
    return str(path).startswith(SCHEMES)


@contextlib.contextmanager
def reached(path: AnyPath) -> Iterator[None]:
    """Turn whatever a bucket raises inside (no access, no network, no client) into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each cloud's client has its own
        if not remote(path):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be reached ({reason})") from error


def exists(path: AnyPath) -> bool:
    """Whether there is such a file. InputError where a bucket cannot be reached."""
    with reached(path):
        return path.exists()


def write(path: AnyPath, content: bytes) -> None:
    """Write the whole file or none of it: an object appears in a bucket when all of it has arrived.

    Records are private: here the file has mode 600; in a bucket its own rules say who reads it.

    Raises InputError where it cannot be written.
    """
    if not remote(path):
        with safe.atomic(path) as part:
            part.chmod(0o600)
            part.write_bytes(content)
        return
    with reached(path):
        path.write_bytes(content)


def records(folder: AnyPath) -> list[AnyPath]:
    """The record.json and *.record.json of a folder, sorted by name; on this machine also of all folders below it."""
    search = folder.glob if remote(folder) else folder.rglob
    with reached(folder):
        return sorted({*search("record.json"), *search("*.record.json")})
