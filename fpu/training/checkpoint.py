"""Save and restore a training State: one file a step, checked by its SHA-256.

STEP.ckpt holds, in this order:

    magic (8 bytes), format version (uint32), size of the metadata (uint32), size of the payload (uint64)
    SHA-256 of everything else in the file (32 bytes)
    metadata: JSON with the step, the layout, and the shape and dtype of every leaf
    payload: the leaves as msgpack (flax.serialization)

A file is complete before it gets its name, so a process that is killed leaves the checkpoints before it.
Reading executes nothing that a file holds, and allocates no more than the State at hand can need.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from fpu import InputError
from fpu.files import safe

KEPT = 2  # the last is used; the one before it serves where the last is damaged
_MAGIC, _VERSION = b"fpu ckpt", 1
_HEADER = struct.Struct("<8sIIQ")  # magic, version, size of the metadata, size of the payload
_DIGEST = hashlib.sha256().digest_size
_SPARE = 2**20  # bytes that a checkpoint takes beside its arrays, at most
_MAX_BYTES = 2**34  # of a payload


def save(folder: pathlib.Path, step: int, state: Any, layout: dict) -> None:
    """Write `state` as step `step` of `folder`, atomically, and keep the last KEPT steps.

    A readable checkpoint of the same step stays as it is. Only one process may write to a folder.

    `layout` (distributed.layout: slice size and devices) is kept with it: going on with another one
    is allowed, and equal to f32 rounding only.

    A State holds no key: what is saved cannot undo the noise by itself. It does hold private
    diagnostics and optimizer state: it stays in the private part of a run.

    Raises:
      TypeError: `state` holds a typed PRNG key.
      OSError: the disk is full. The checkpoints before this one stay.
      InputError: the folder cannot be written.
    """
    if any(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in jax.tree.leaves(state)):
        raise TypeError("a State holds no PRNG key: what is saved must not undo the noise")
    size = _SPARE + sum(x.nbytes for x in jax.tree.leaves(state))
    if size > _MAX_BYTES:
        raise InputError(f"{folder}: a state of {size:,} bytes; at most {_MAX_BYTES:,} are saved")
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if shutil.disk_usage(existing).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    path = _path(folder, step)
    with contextlib.suppress(OSError, ValueError):
        _read(path, _MAX_BYTES)
        return
    for unfinished in folder.glob(".*.ckpt.*.part"):  # of a process that was killed
        unfinished.unlink()
    with safe.atomic(path) as part:
        arrays = jax.tree.map(np.asarray, serialization.to_state_dict(state))
        facts = {"step": step, "layout": layout, "leaves": _described(state)}
        payload = serialization.msgpack_serialize(arrays, in_place=True)
        part.write_bytes(_framed(json.dumps(facts).encode(), payload))
    for old in [s for s in steps(folder) if s <= step][:-KEPT]:
        _path(folder, old).unlink()


def steps(folder: pathlib.Path) -> list[int]:
    """The steps of which `folder` has a checkpoint, ascending."""
    names = [re.fullmatch(r"([0-9]+)\.ckpt", path.name) for path in folder.glob("*.ckpt")]
    return sorted(int(name[1]) for name in names if name)


def restore(
    folder: pathlib.Path, like: Any, last: int | None = None
) -> tuple[int, Any, dict] | None:
    """(step, state, layout) of the newest readable checkpoint in `folder`, not newer than `last`, or None.

    The state has the structure and sharding of `like`, whatever the devices that saved it.

    Raises:
      InputError: there are checkpoints, and none can be read.
    """
    wanted = _described(like)
    most = _SPARE + sum(leaf.nbytes for leaf in jax.tree.leaves(like))
    reason = None
    for step in reversed([s for s in steps(folder) if last is None or s <= last]):
        try:
            metadata, leaves = _read(_path(folder, step), most)
            if metadata["leaves"] != wanted:
                raise ValueError(f"step {step} is of another model")
            state = serialization.from_state_dict(like, leaves)
        except (OSError, ValueError) as error:
            reason = error
            continue
        return step, jax.tree.map(_placed, like, state), metadata["layout"]
    if reason is None:
        return None
    raise InputError(
        f"{folder}: no checkpoint can be read ({reason}); delete the folder to start afresh"
    )


def averaged(folder: pathlib.Path) -> dict | None:
    """The averaged parameters (State.ema) of the newest checkpoint in `folder`, as arrays; None without one.

    Unlike `restore` it needs no State to compare with: whoever judges a model need not know how it was trained.

    Raises:
      InputError: the checkpoint cannot be read.
    """
    step = max(steps(folder), default=None)
    if step is None:
        return None
    try:
        _, leaves = _read(_path(folder, step), _MAX_BYTES)
        ema = leaves["ema"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: its checkpoint cannot be read ({error})") from error
    return jax.tree.map(jnp.asarray, ema)


def _path(folder: pathlib.Path, step: int) -> pathlib.Path:
    return folder / f"{step}.ckpt"


def _described(state: Any) -> dict[str, list]:
    """{path: [shape, dtype]} of every leaf, as JSON returns it."""
    leaves = jax.tree.leaves_with_path(serialization.to_state_dict(state))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): [list(leaf.shape), str(leaf.dtype)]
        for path, leaf in leaves
    }


def _framed(metadata: bytes, payload: bytes) -> bytes:
    """Header, digest, metadata and payload."""
    header = _HEADER.pack(_MAGIC, _VERSION, len(metadata), len(payload))
    digest = hashlib.sha256(header + metadata + payload).digest()
    return header + digest + metadata + payload


def _read(path: pathlib.Path, most: int) -> tuple[dict, dict]:
    """(metadata, leaves as a state dict) of a file whose payload has at most `most` bytes.

    Raises:
      OSError: it cannot be opened.
      ValueError: it is damaged; one line says how.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, digest = file.read(_HEADER.size), file.read(_DIGEST)
        if len(digest) < _DIGEST:
            raise ValueError(f"{path.name} is cut short")
        magic, version, of_metadata, of_payload = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise ValueError(f"{path.name} is no checkpoint")
        if version != _VERSION:
            raise ValueError(f"{path.name} has format {version}, this version reads {_VERSION}")
        if size != _HEADER.size + _DIGEST + of_metadata + of_payload:
            raise ValueError(f"{path.name} is cut short, or too long")
        if of_metadata > _SPARE or of_payload > most:
            raise ValueError(f"{path.name} is larger than what is trained here")
        metadata, payload = file.read(of_metadata), file.read(of_payload)
    if hashlib.sha256(header + metadata + payload).digest() != digest:
        raise ValueError(f"{path.name} is damaged: another SHA-256")
    try:
        facts, leaves = json.loads(metadata), dict(serialization.msgpack_restore(payload))
        right = facts["leaves"] == _described(leaves) and isinstance(facts["layout"], dict)
    except Exception as error:  # the digest is right, and the content is nothing that `save` writes
        raise ValueError(f"{path.name} is damaged ({type(error).__name__})") from error
    if not right or f"{facts['step']}.ckpt" != path.name:
        raise ValueError(f"{path.name} is damaged: its metadata and its content differ")
    return facts, leaves


def _placed(like: Any, array: np.ndarray) -> Any:
    """`array` where `like` lies: on its devices, or in the host's memory."""
    return jax.device_put(array, like.sharding) if isinstance(like, jax.Array) else array
