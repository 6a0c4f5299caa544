"""SIGTERM: work in hand is kept, one line is told, the command leaves with 143."""

import os
import signal
import threading

import pytest

from fpu.pipeline import signals


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_ends_a_command_with_one_line_and_code_143(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, signals.on_sigterm():
        terminate()
    assert left.value.code == 143
    assert capsys.readouterr().err.splitlines() == [
        "stopped by SIGTERM: the same command goes on from here"
    ]
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_waits_for_the_work_in_hand(capsys):
    kept = []

    def work():
        with signals.put_off() as asked:
            assert not asked()
            terminate()
            assert asked()
            kept.append("work")

    with pytest.raises(SystemExit) as left, signals.on_sigterm():
        work()
    assert left.value.code == 143
    assert kept == ["work"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nothing_is_put_off_where_nobody_listens():
    """In a library's use, SIGTERM is the caller's affair."""
    before = signal.getsignal(signal.SIGTERM)
    with signals.put_off() as asked:
        assert signal.getsignal(signal.SIGTERM) is before
        assert not asked()


def test_a_thread_takes_no_signals():
    seen = []

    def work():
        with signals.on_sigterm(), signals.put_off() as asked:
            seen.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
