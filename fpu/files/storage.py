"""Where records lie: in a folder of this machine, or of a bucket (gs://, s3://, az://), by etils epath."""

import contextlib
import pathlib

from etils import epath

from fpu import InputError
from fpu.files import safe

SCHEMES = ("gs://", "s3://", "az://")


def place(text) -> pathlib.Path | epath.Path:
    """The folder or file that a user names; `~` is her home. InputError for a kind of address nobody knows here."""
    text = str(text)
    if "://" in text and not text.startswith(SCHEMES):
        raise InputError(
            f"{text}: name a folder of this machine, or {', '.join(SCHEMES)}BUCKET/..."
        )
    return epath.Path(text) if remote(text) else pathlib.Path(text).expanduser()


def remote(path) -> bool:
    """Whether it lies in a bucket."""
    return str(path).startswith(SCHEMES)


@contextlib.contextmanager
def reached(path):
    """Turn whatever a bucket raises inside (no access, no network, no client) into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each cloud's client has its own
        if not remote(path):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be reached ({why})") from error


def exists(path) -> bool:
    """Whether there is such a file. InputError where a bucket cannot be asked."""
    with reached(path):
        return path.exists()


def write(path, content: bytes) -> None:
    """The whole file or none of it: an object appears in a bucket when all of it is there.

    Raises InputError where it cannot be written.
    """
    if not remote(path):
        with safe.atomic(path) as part:
            part.write_bytes(content)
        return
    with reached(path):
        path.write_bytes(content)


def records(folder) -> list:
    """The record.json and *.record.json files of a folder, by name; on this machine also of all folders below it."""
    search = folder.glob if remote(folder) else folder.rglob
    with reached(folder):
        return sorted({*search("record.json"), *search("*.record.json")})
