"""Following a training to its end: progress on the screen, checkpoints in each run's folder, SIGTERM."""

import functools
import itertools
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp

from fpu import distributed, training
from fpu.pipeline import processes, progress, signals, train
from fpu.training import checkpoint

SECONDS = 60.0  # between checkpoints


def follower(
    folders: Sequence[pathlib.Path],
    *,
    log: str | pathlib.Path = os.devnull,
    eps: float | None = None,
) -> train.Follow:
    """The train.Follow of a group of runs: cell i is kept in folders[i]/checkpoints/STAGE.

    A training goes on from the newest checkpoint that all folders have. SIGTERM saves and leaves with exit
    code signals.CODE. log, eps: of progress.training; eps is that of DP-SGD.
    """

    def follow(stage: str, steps: int, fit: Callable[..., Iterator]) -> training.State:
        places = [folder / "checkpoints" / stage for folder in folders]
        layout = distributed.layout(len(places))
        label = None if len(places) == 1 else f"{len(places)} cells, {stage} "
        cost = eps if stage == train.DP_SGD else None
        restore = functools.partial(_restored, places, layout, steps)
        saved = time.monotonic()
        with signals.put_off() as stop_asked, progress.training(log, steps, cost, label) as show:
            for step, state in fit(restore=restore):
                show(step, jax.tree.map(jnp.mean, state.diagnostics))
                stop = distributed.any_process(stop_asked())
                if step == steps or stop or time.monotonic() - saved > SECONDS:
                    for place, cell in zip(places, _cells(state, len(places)), strict=True):
                        processes.save(place, step, cell, layout)
                    saved = time.monotonic()
                if stop:
                    distributed.any_process(stop)  # nobody leaves before the first has written
                    raise SystemExit(signals.CODE)
        return state

    return follow


def _restored(places, layout, steps, like: training.State) -> training.State | None:
    """The group's State from its checkpoints, or None where they have no step in common."""
    common = set.intersection(*(set(checkpoint.steps(place)) for place in places))
    last, cells = max(common, default=-1), _cells(like, len(places))
    parts = [processes.restored(*pair, last) for pair in zip(places, cells, strict=True)]
    found = [part for part in parts if part is not None]
    if len(found) < len(places) or len({step for step, _, _ in found}) > 1:
        return None  # where one is damaged, all begin anew
    (step, state, before), count = found[0], len(places)
    if step < steps:
        progress.say(f"continuing{f' {count} cells' if count > 1 else ''} from step {step:,}")
        if before != layout:
            progress.say(
                f"saved with {_words(before)}, now {_words(layout)}: the result will be the same to "
                "f32 rounding, not bitwise"
            )
    if like.step.ndim == 0:
        return state
    width = len(like.step)  # on a mesh the last cell is repeated to fill up
    states = [found[min(i, count - 1)][1] for i in range(width)]
    return train.stacked(states)


def _cells(state: training.State, count: int) -> Iterator[training.State]:
    """The states of single cells, without a leading axis."""
    alone = state.step.ndim == 0
    return iter([state]) if alone else itertools.islice(train.each(state), count)


def _words(layout: dict) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in layout.items())
