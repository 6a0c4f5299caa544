"""fpu/files/safe.py: files that lie, break or bite end in one line."""

import contextlib
import gzip
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from fpu import InputError
from fpu.data import npz
from fpu.files import safe


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an idx"),
        (b"\0\0\x08\x03\0\0", "damaged"),
        (b"\0\0\x0d\x03" + bytes(40), "not an idx"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 28) + bytes(9), "cannot hold"),
        (b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(9), "fewer or more"),
        (b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(11), "fewer or more"),
    ],
)
def test_bad_idx_is_one_line(tmp_path, content, says):
    for name, packed in (("x", content), ("x.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(InputError, match=says):
            safe.read_idx(tmp_path / name)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x63" + bytes(99))[:-9])
    with pytest.raises(InputError, match="damaged"):
        safe.read_idx(tmp_path / "cut.gz")


class _Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_object_arrays_are_never_opened(tmp_path):
    made = tmp_path / "made"
    bomb = np.array([_Bomb(made)] * 12, dtype=object)
    path = tmp_path / "mine.npz"
    np.savez(path, train_images=np.zeros((12, 9, 9), np.uint8), train_labels=bomb)
    with pytest.raises(InputError, match="train_labels is an object array"):
        npz.read(path)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(_Bomb(made)))
    with pytest.raises(InputError, match=r"not an \.npz"):
        npz.read(tmp_path / "plain.npz")
    assert not made.exists()


def _npy(shape, body, descr="|u1"):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + body


@pytest.mark.parametrize(
    ("shape", "size", "says"),
    [
        ((2**24, 64, 64), 100, "at most"),  # 64 GiB
        ((400_000, 64, 64), 100, "cannot hold"),  # 1.6 GB claimed, 100 bytes there
        ((10, 9, 9), 811, "cannot hold"),  # one byte too many
        ((-10, 9, 9), 0, "cannot hold"),
    ],
)
def test_headers_that_lie_are_refused_before_reading(tmp_path, monkeypatch, shape, size, says):
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", _npy(shape, bytes(size)))
        archive.writestr("train_labels.npy", _npy(shape[:1], bytes(10)))
    monkeypatch.setattr(safe, "npz_array", None)  # nothing is read
    monkeypatch.setattr(safe, "npz_blocks", None)
    with pytest.raises(InputError, match=says):
        npz.read(path)


def test_zip_entry_that_lies_about_its_size_is_refused(tmp_path):
    """The directory of the zip claims 81 MB for an entry of a few hundred bytes."""
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", _npy((1_000_000, 9, 9), bytes(81)))
        archive.writestr("train_labels.npy", _npy((1_000_000,), bytes(1_000_000)))
        entry = archive.getinfo("train_images.npy")
        entry.file_size = len(_npy((1_000_000, 9, 9), b"")) + 81_000_000
    with pytest.raises(InputError, match="train_images claims 81000000 bytes and cannot hold"):
        npz.read(path)


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("old")
    writing = contextlib.ExitStack()
    writing.enter_context(safe.atomic(path)).write_text("half")
    assert writing.__exit__(RuntimeError, RuntimeError(), None) is False
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
    with pytest.raises(InputError, match="cannot write here"), safe.atomic(path / "y.npz"):
        pass


def test_two_that_write_one_file_do_not_share_what_is_not_yet_whole(tmp_path):
    path = tmp_path / "file"
    with safe.atomic(path) as mine, safe.atomic(path) as other:  # of equal process numbers
        mine.write_text("mine")
        other.write_text("other")
    assert (path.read_text(), [p.name for p in tmp_path.iterdir()]) == ("mine", ["file"])
