"""Untrusted files (.npz and idx), whose headers are checked before data are read, and atomic writing.

A small file can claim gigabytes, and an object array can hold code: both are refused by their headers.
"""

import contextlib
import gzip
import hashlib
import json
import math
import os
import secrets
import struct
import zipfile
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from fpu import InputError

MAX_BYTES = 2**31  # one array, uncompressed
_DEFLATE = 1032  # the largest ratio by which deflate can expand, so a larger claim is false
_SLACK = 1024  # bytes; room for headers in the ratio above

AnyPath = str | PathLike[str]
Header = tuple[tuple[int, ...], np.dtype]  # shape and type of an array


@contextlib.contextmanager
def atomic(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the final name only if the block succeeds,
    and when the disk holds what was written.

    Raises InputError where the folder cannot be written.
    """
    path = Path(path)
    # Not by process number: in containers that share a disk every process is number 1.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise InputError(f"{path.parent}: cannot write here ({error.strerror})") from error
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: AnyPath, text: str) -> None:
    """Write the whole file, in UTF-8, or none of it."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: AnyPath, value: Any) -> None:
    """Write the whole file or none of it. ValueError for a number that is not finite."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_npz(path: AnyPath, arrays: dict[str, np.ndarray], compressed: bool = True) -> None:
    """Write the whole .npz or none of it."""
    save = np.savez_compressed if compressed else np.savez
    with atomic(path) as part, open(part, "wb") as file:  # by name, numpy would add .npz to it
        save(file, **arrays)  # pyright: ignore[reportArgumentType]  (allow_pickle is no array's name)


@contextlib.contextmanager
def one_line(path: AnyPath, kind: str) -> Iterator[None]:
    """Turn whatever a damaged or absent file raises into one line that names it. kind: what it should be."""
    try:
        yield
    except InputError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # zip, zlib, gzip, struct and header parsing each raise their own
        raise InputError(f"{path}: not {kind}, or damaged ({error}); get it again") from error


def read_text(path: Path, most: int) -> str:
    """A file of at most `most` bytes, UTF-8. Raises InputError where it is larger."""
    if path.stat().st_size > most:
        raise InputError(f"{path}: too large; at most {most:,} bytes are read")
    return path.read_text(encoding="utf-8-sig")


def npz_names(path: AnyPath, most: int) -> list[str]:
    """Names of the arrays in an .npz, at most `most`. Raises InputError."""
    with one_line(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if len(names) > most or not all(name.endswith(".npy") for name in names):
        raise InputError(f"{path}: not an .npz file of at most {most:,} arrays")
    return [name.removesuffix(".npy") for name in names]


def npz_headers(path: AnyPath, fields: Sequence[str], most: int | None = None) -> dict[str, Header]:
    """{field: (shape, dtype)} of those `fields` that the .npz holds, without reading any data.

    Raises InputError for a file that is no .npz, an object array (it could hold code), an array
    above `most` bytes (MAX_BYTES), and a header that claims another size than its zip entry has.
    """
    most = most or MAX_BYTES
    with one_line(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        return {f: _npy_header(path, archive, f, most) for f in fields if f"{f}.npy" in names}


def _npy_header(path: AnyPath, archive: zipfile.ZipFile, field: str, most: int) -> Header:
    entry = archive.getinfo(f"{field}.npy")
    with archive.open(entry) as member:
        shape, _, dtype = _header(member)
        body = entry.file_size - member.tell()
    if dtype.hasobject:
        raise InputError(
            f"{path}: {field} is an object array, which may hold code and is never opened; "
            "store plain numbers of one shape"
        )
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > most:
        raise InputError(f"{path}: {field} claims {claimed} bytes; at most {most} are read")
    stored = min(entry.compress_size, os.path.getsize(path))
    if claimed != body or entry.file_size > _DEFLATE * stored + _SLACK:
        raise InputError(f"{path}: {field} claims {claimed} bytes and cannot hold them: damaged")
    return shape, dtype


def _header(member) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether in Fortran order, dtype), read from the start of a .npy file."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(member)
    raise ValueError(f"its .npy version is {version}")


@contextlib.contextmanager
def _opened(path: AnyPath, field: str) -> Iterator[IO[bytes]]:
    with (
        one_line(path, "an .npz file"),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{field}.npy") as member,
    ):
        yield member


def npz_array(path: AnyPath, field: str) -> np.ndarray:
    """One array of an .npz whose header npz_headers has accepted. Never unpickles."""
    with _opened(path, field) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def npz_arrays(path: AnyPath, fields: Sequence[str]) -> dict[str, np.ndarray]:
    """{field: array} of those `fields` that the .npz holds, if npz_headers accepts them."""
    return {field: npz_array(path, field) for field in npz_headers(path, fields)}


def npz_blocks(path: AnyPath, field: str, rows: int) -> Iterator[np.ndarray]:
    """`npz_array` in blocks of at most `rows` along its first axis, so that it need not fit the memory."""
    with _opened(path, field) as member:
        shape, fortran, dtype = _header(member)
        if fortran:  # rare: columns first, so that no row can be read alone
            if math.prod(shape) * dtype.itemsize > MAX_BYTES:
                raise InputError(
                    f"{path}: {field} is large and in Fortran order; store it in C order"
                )
            whole = npz_array(path, field)
            yield from (whole[first : first + rows] for first in range(0, shape[0], rows))
            return
        row = math.prod(shape[1:]) * dtype.itemsize
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            block = member.read(count * row)
            if len(block) != count * row:
                raise ValueError(f"{field} is cut short")
            yield np.frombuffer(block, dtype).reshape(count, *shape[1:])


def read_idx(path: AnyPath) -> np.ndarray:
    """uint8 array of an idx file (LeCun's format), gzipped if its name ends in .gz: rank 1 or 3."""
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with one_line(path, "an idx file"), opened(path, "rb") as file:
        magic = file.read(4)
        if magic[:3] != b"\0\0\x08" or magic[3:] not in (b"\1", b"\3"):
            raise InputError(f"{path}: not an idx file of bytes; MNIST's four .gz files are needed")
        shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
        claimed = math.prod(shape)
        if claimed > min(MAX_BYTES, _DEFLATE * os.path.getsize(path) + _SLACK):
            raise InputError(f"{path}: claims {claimed} bytes and cannot hold them: damaged")
        body = file.read(claimed + 1)
    if len(body) != claimed:
        raise InputError(
            f"{path}: its header says {claimed} bytes, it holds fewer or more: damaged"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def idx_md5(array: np.ndarray) -> str:
    """md5 of a uint8 array as an uncompressed idx file, whatever the compression of the file it came from."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def file_md5(path: AnyPath) -> str:
    """md5 of a file's bytes, read in blocks."""
    with one_line(path, "a file"), open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()
