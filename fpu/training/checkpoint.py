"""Save and restore a training State through orbax, and the fingerprint that says what it belongs to."""

import errno
import hashlib
import json
import os
import pathlib
import shutil

import jax
import orbax.checkpoint as ocp

from fpu import InputError

_SPARE = 2**20  # bytes that a checkpoint takes beside its arrays, at most
KEPT = 2  # the last is used; the one before it serves where the last is damaged


def fingerprint(config: dict) -> str:
    """SHA-256 of a JSON-able description. Equal descriptions may continue each other's runs."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def save(folder: pathlib.Path, step: int, state, layout: dict) -> None:
    """Write `state` as step `step` of `folder`, atomically, keeping the last KEPT steps.

    `layout` (distributed.layout: slice size and devices) is kept beside it: going on with another one
    is allowed, and equal to f32 rounding only.

    A State holds no key: what is saved cannot undo the noise by itself. It does hold private
    diagnostics and optimizer state: it stays in the private part of a run.

    Raises:
      OSError: the disk is full. The checkpoints before this one stay.
    """
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    # Asked beforehand: a write that fails midway leaves orbax's threads behind, each with a traceback to tell.
    if shutil.disk_usage(place).free < _SPARE + sum(x.nbytes for x in jax.tree.leaves(state)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    with _manager(folder) as manager:
        if step not in manager.all_steps():
            manager.save(step, args=ocp.args.StandardSave(state), custom_metadata=layout)


def steps(folder: pathlib.Path) -> list[int]:
    """The steps of which `folder` has a checkpoint."""
    if not folder.is_dir():
        return []
    with _manager(folder) as manager:
        return sorted(manager.all_steps())


def restore(folder: pathlib.Path, like, last: int | None = None):
    """(step, state, layout) of the newest readable checkpoint in `folder`, not newer than `last`, or None.

    The state has the structure and sharding of `like`, whatever the devices that saved it.

    Raises:
      InputError: there are checkpoints, and none can be read.
    """
    if not folder.is_dir():
        return None
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    with _manager(folder) as manager:
        steps = [s for s in manager.all_steps() if last is None or s <= last]
        for step in sorted(steps, reverse=True):
            try:
                state = manager.restore(step, args=ocp.args.StandardRestore(shapes))
                return step, state, manager.metadata(step).custom_metadata or {}
            except Exception as error:  # whatever a damaged file raises inside orbax
                reason = " ".join(str(error).split())[:120]
    if not steps:
        return None
    raise InputError(
        f"{folder}: no checkpoint can be read ({reason}); delete the folder to start afresh"
    )


def averaged(folder: pathlib.Path):
    """The averaged parameters (State.ema) of the newest checkpoint in `folder`, as arrays; None without one.

    Unlike `restore` it needs no State to compare with: whoever judges a model need not know how it was trained.
    """
    if not folder.is_dir():
        return None
    with _manager(folder) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        try:
            return manager.restore(step, args=ocp.args.StandardRestore())["ema"]
        except Exception as error:  # whatever a damaged file raises inside orbax
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{folder}: its checkpoint cannot be read ({reason})") from error


def _manager(folder: pathlib.Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
    if jax.process_count() > 1:  # the process that asks does it alone: the others wait for nothing
        me = jax.process_index()
        options.multiprocessing_options = ocp.options.MultiprocessingOptions(me, {me}, f"of {me}")
        options.create = False
        folder.mkdir(parents=True, exist_ok=True)
    return ocp.CheckpointManager(folder.absolute(), options=options)
