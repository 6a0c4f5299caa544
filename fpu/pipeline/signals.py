"""SIGTERM, as schedulers send it before they take a machine away: keep what there is, say so, leave."""

import contextlib
import signal
import threading
from collections.abc import Callable

from fpu.pipeline import progress

CODE = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended


@contextlib.contextmanager
def on_sigterm():
    """While inside, SIGTERM ends the command with one line and exit code CODE, at once.

    Nothing is lost by that: what is on disk is whole at every moment, and the same command goes on from it.
    Outside the main thread, where Python takes no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(*_):
        progress.say("stopped by SIGTERM: the same command goes on from here")
        raise SystemExit(CODE)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def put_off():
    """Yields asked() -> bool: inside, SIGTERM waits until the block ends, so that work in hand may be kept.

    Where on_sigterm is not in force, SIGTERM does what it did, and asked() is always False.
    """
    before = signal.getsignal(signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()
    if not (main and isinstance(before, Callable)):
        yield lambda: False
        return
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked.is_set():
            before(signal.SIGTERM, None)
