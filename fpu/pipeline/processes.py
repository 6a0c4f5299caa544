"""One run by several processes. All compute alike; the first alone writes files, makes the key and prints."""

import contextlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from fpu import InputError, distributed
from fpu.pipeline import workdir
from fpu.training import checkpoint

_PATIENCE = 24 * 3600  # seconds that processes wait for the last to finish
_ENDS = itertools.count()


@contextlib.contextmanager
def opened(folder: pathlib.Path, config: dict) -> Iterator[bool]:
    """workdir.opened, in the first process; yields whether the run has ended before. Call it in all of them.

    The others print nothing inside, and leave when the first has written everything.

    Raises:
      InputError: see workdir.opened; or the processes were given different flags or data.
    """
    distributed.check_same(**{name: repr(value) for name, value in config.items()})
    with contextlib.ExitStack() as held:

        def enter() -> bool:
            held.enter_context(workdir.opened(folder, config))
            return workdir.finished(folder)

        ended = _by_the_first(enter)
        if not distributed.is_first():
            nowhere = held.enter_context(open(os.devnull, "w"))
            held.enter_context(contextlib.redirect_stderr(nowhere))
        yield distributed.any_process(bool(ended))
        distributed.barrier(f"run {next(_ENDS)} of this process has ended", _PATIENCE)


def secret_key(folder: pathlib.Path, noise_seed: int | None) -> jax.Array:
    """workdir.secret_key of the first process, in all of them: one sample and one noise."""
    own = _by_the_first(lambda: workdir.secret_key(folder, noise_seed))
    return distributed.broadcast_key(jax.random.key(0) if own is None else own)


def save(folder: pathlib.Path, step: int, state: Any, layout: dict) -> None:
    """checkpoint.save by the first process of a state that each of them holds whole."""
    if distributed.is_first():
        several = jax.process_count() > 1
        checkpoint.save(folder, step, jax.tree.map(np.asarray, state) if several else state, layout)


def restored(folder: pathlib.Path, like: Any, last: int) -> tuple[int, Any, dict] | None:
    """checkpoint.restore by the first process, for all of them: (step, state, layout) or None."""
    if jax.process_count() == 1:
        return checkpoint.restore(folder, like, last)
    like = jax.tree.map(np.asarray, like)
    checkpointed = _by_the_first(lambda: checkpoint.restore(folder, like, last))
    step, state, layout = checkpointed or (-1, like, distributed.layout())
    step = int(distributed.broadcast(np.int32(step)))
    return None if step < 0 else (step, distributed.broadcast(state), layout)


def _by_the_first(act: Callable[[], Any]) -> Any:
    """What act() returns in the first process, None in the others; where it is refused, all of them are."""
    value = refused = None
    if distributed.is_first():
        try:
            value = act()
        except InputError as error:
            refused = error
    if distributed.any_process(refused is not None):
        raise refused or InputError("process 0 was refused, and has said why")
    return value
