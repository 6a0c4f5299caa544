"""Weights that PyTorch saved, read without PyTorch: a state dict of plain tensors, or an .npz.

A .pth is a pickle, which may name any function to be called. Here it may name an ordered dict, a
tensor and its kind of numbers; a file that names anything else is refused, and nothing of it runs.
"""

import os
import pickle
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from fpu import InputError, readers

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how a file of torch's older format begins
_NUMBERS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class _Storage(NamedTuple):
    """The numbers behind one or more tensors: name in the file, numpy's kind, count."""

    key: str
    kind: str
    count: int

    @property
    def bytes(self):
        return self.count * np.dtype(self.kind).itemsize


class _Tensor(NamedTuple):
    """A window on a storage; offset and strides are in numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def read(path, shapes, like):
    """{name: float32 array} of the tensors named in `shapes`; what else is there is not looked at.

    Args:
      path: a .pth in either format of torch.save, or an .npz with the same names.
      shapes: {name: shape}.
      like: what a file with all of them is called, for the error message.

    Raises InputError for a file that cannot be read or is of another kind, that names anything but
    tensors, or in which a tensor is absent or of another shape.
    """
    with readers.one_line(path, "a .pth of PyTorch or an .npz"):
        if not zipfile.is_zipfile(path):
            with open(path, "rb") as file:
                return _from_legacy(path, file, shapes, like)
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                return _from_zip(path, archive, shapes, like)
        headers = readers.npz_headers(path, shapes)
        _check(path, {name: shape for name, (shape, _) in headers.items()}, shapes, like)
        return {name: readers.npz_array(path, name).astype(np.float32) for name in shapes}


def _from_zip(path, archive, shapes, like):
    """<folder>/data.pkl, and for each storage its bytes as <folder>/data/<key>."""
    entries = {name.partition("/")[2]: archive.getinfo(name) for name in archive.namelist()}
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise InputError(f"{path}: was packed again; give the file as PyTorch wrote it")
    if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
        raise InputError(f"{path}: has big-endian numbers; save it again on a common machine")
    with archive.open(entries["data.pkl"]) as file:
        tensors = _tensors(path, _load(path, file)[0], shapes, like)
    held = {s.key: archive.read(entries[f"data/{s.key}"]) for s, *_ in tensors.values()}
    return {name: _array(held[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _from_legacy(path, file, shapes, like):
    """Five pickles (magic, version, machine, state dict, keys); then count and bytes by key."""
    if _load(path, file)[0] != _MAGIC or _load(path, file)[0] != _PROTOCOL:
        raise InputError(f"{path}: not a .pth of PyTorch or an .npz; give {like}")
    if not _load(path, file)[0]["little_endian"]:
        raise InputError(f"{path}: has big-endian numbers; save it again on a common machine")
    state, storages = _load(path, file)
    tensors = _tensors(path, state, shapes, like)
    held = {}
    for key in _load(path, file)[0]:
        (count,) = np.frombuffer(file.read(8), "<i8")
        if count != storages[key].count or storages[key].bytes > os.path.getsize(path):
            raise ValueError(f"storage {key} is not as long as its tensors say")
        held[key] = file.read(storages[key].bytes)
    return {name: _array(held[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _load(path, file):
    """The next pickle of a file, with nothing in it but plain values, ordered dicts and tensors.

    Returns: the object, and {key: _Storage} of the storages it names.
    """
    storages = {}

    def tensor(storage, offset, shape, strides, *_):
        return _Tensor(storage, offset, shape, strides)

    class Unpickler(pickle._Unpickler):  # in Python: the one in C sizes its memo as the file claims
        def find_class(self, module, name):
            if (module, name) == ("collections", "OrderedDict"):
                return OrderedDict
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return tensor
            if module == "torch" and name in _NUMBERS:
                return _NUMBERS[name]
            raise InputError(
                f"{path}: names {f'{module}.{name}'!r}, which plain tensors do not need, so nothing "
                "of it was run; give the state dict alone"
            )

        def persistent_load(self, pid):
            _, kind, key, _, count, *view = pid
            if any(view) or kind not in _NUMBERS.values():
                raise ValueError("a storage inside another, or of no numbers")
            return storages.setdefault(key, _Storage(key, kind, count))

    return Unpickler(file).load(), storages


def _tensors(path, state, shapes, like):
    """Those _Tensors of a state dict that `shapes` names, or InputError."""
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds a {type(state).__name__}, not a state dict; give {like}")
    tensors = {name: t for name, t in state.items() if isinstance(t, _Tensor)}
    _check(path, {name: tuple(t.shape) for name, t in tensors.items()}, shapes, like)
    return {name: tensors[name] for name in shapes}


def _check(path, found, shapes, like):
    for name, shape in shapes.items():
        if name not in found:
            raise InputError(f"{path}: has no weight {name}; give {like}")
        if found[name] != tuple(shape):
            raise InputError(
                f"{path}: {name} is {list(found[name])} where {list(shape)} is needed; give {like}"
            )


def _array(held, tensor):
    """float32 copy of a tensor, whose shape _check has accepted, from the bytes of its storage."""
    storage, offset, shape, strides = tensor
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if len(held) != storage.bytes or min(offset, *strides, 0) < 0 or last >= storage.count:
        raise ValueError("a tensor reaches beyond its numbers")
    numbers = np.frombuffer(held, storage.kind)
    step = numbers.itemsize
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, [s * step for s in strides])
    return view.astype(np.float32)
