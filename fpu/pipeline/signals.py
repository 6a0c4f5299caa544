"""SIGTERM, which schedulers send before they take a machine away, and Ctrl-C: save, print a line, leave."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from fpu.pipeline import progress

CODE = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended
_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


@contextlib.contextmanager
def on_stop() -> Iterator[None]:
    """While inside, SIGTERM and Ctrl-C end the command at once, with one line and exit code 128 + the signal.

    Nothing is lost by that: what is on disk is whole at every moment, and the same command goes on from it.
    Outside the main thread, where Python takes no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number, frame):
        del frame
        progress.say(f"stopped by {_NAMES[number]}: the same command goes on from here")
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in _NAMES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def put_off() -> Iterator[Callable[[], bool]]:
    """Yields asked() -> bool: inside, the signals wait until the block ends, so that a training can be saved.

    Where on_stop is not in force nothing changes, and asked() is always False. A second Ctrl-C does not wait.
    """
    before = {number: signal.getsignal(number) for number in _NAMES}
    main = threading.current_thread() is threading.main_thread()
    handler = before[signal.SIGTERM]
    if not (main and callable(handler)):
        yield lambda: False
        return
    asked: list[int] = []

    def wait(number, frame):
        if asked and number == signal.SIGINT:
            handler(number, frame)
        asked.append(number)

    for number in _NAMES:
        signal.signal(number, wait)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
        if asked:
            handler(asked[0], None)
