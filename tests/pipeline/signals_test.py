"""SIGTERM and Ctrl-C: a training in hand is saved, one line is printed, the command leaves with 128 + the signal."""

import os
import signal
import threading

import pytest

from fpu.pipeline import signals


@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)]
)
def test_a_signal_ends_a_command_with_one_line_and_a_code_of_its_own(capsys, number, name, code):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left, signals.on_stop():
        os.kill(os.getpid(), number)
    assert left.value.code == code
    told = f"stopped by {name}: the same command goes on from here"
    assert capsys.readouterr().err.splitlines() == [told]
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait(capsys):
    def twice():
        with signals.on_stop(), signals.put_off() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert asked()
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it waited")

    with pytest.raises(SystemExit) as left:
        twice()
    assert left.value.code == 130


def test_nothing_is_put_off_where_nobody_listens():
    """In a library's use, SIGTERM is the caller's affair."""
    before = signal.getsignal(signal.SIGTERM)
    with signals.put_off() as asked:
        assert signal.getsignal(signal.SIGTERM) is before
        assert not asked()


def test_a_thread_takes_no_signals():
    seen = []

    def work():
        with signals.on_stop(), signals.put_off() as asked:
            seen.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
