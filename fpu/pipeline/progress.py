"""Progress of a long training: a bar on a terminal, plain lines elsewhere, JSON lines in the log."""

import contextlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fpu.dp.clipping import Diagnostics
from fpu.dp.rounding import rounded_up


@contextlib.contextmanager
def training(
    path: str | pathlib.Path, total: int, eps: float | None, label: str | None
) -> Iterator[Callable[[int, Diagnostics], None]]:
    """Yields report(step, diagnostics): to `path` (JSON lines) and the screen.

    eps: what it will have cost at the end; None for a warm-up, which costs nothing more.
    label: how lines begin, instead of "warm-up " where eps is None.

    Losses are private: they are logged as nonprivate/..., in the part of a run that stays inside.
    """
    begun, first, due = time.monotonic(), None, clock()
    kind, stage, cost = "warmup", "warm-up ", ""
    if eps is not None:
        kind, stage, cost = "nonprivate", "", f", eps {rounded_up(eps, 3)} at the end"
    stage = stage if label is None else label
    terminal = sys.stderr.isatty()
    bar = Progress(
        TextColumn(stage or "training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}" + cost),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not terminal,
    )
    task = bar.add_task("", total=total, rate="")

    def report(step: int, diagnostics: Diagnostics) -> None:
        nonlocal first
        now = time.monotonic()
        values = {
            f"{kind}/loss": float(diagnostics.loss),
            f"{kind}/clipped": float(diagnostics.clipped),
            f"{kind}/dropped": int(diagnostics.dropped),
        }
        line = {"step": step, "seconds": round(now - begun, 3)} | {
            name: value if math.isfinite(value) else None for name, value in values.items()
        }
        log.write(json.dumps(line) + "\n")
        log.flush()
        if first is None:  # the first call compiles: the rate starts after it
            first = (now, step)
            bar.update(task, completed=step)
            return
        rate = (step - first[1]) / max(now - first[0], 1e-9)
        bar.update(task, completed=step, rate=f"{rate:.1f} steps/s")
        if not terminal and due(step == total):
            left = (total - step) / max(rate, 1e-9)
            say(f"{stage}step {step:,} of {total:,}, {rate:.1f} steps/s, {left:.0f} s left{cost}")

    with open(path, "a", encoding="utf-8") as log, bar:
        yield report


def clock() -> Callable[[bool], bool]:
    """due(ended): whether a line is due: every ten seconds, and at the end."""
    shown = time.monotonic()

    def due(ended: bool) -> bool:
        nonlocal shown
        if ended or time.monotonic() - shown > 10:
            shown = time.monotonic()
            return True
        return False

    return due


def say(line: str) -> None:
    """One plain line on stderr."""
    print(line, file=sys.stderr, flush=True)
