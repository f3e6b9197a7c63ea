"""Ctrl-C waits for what must not be cut in two."""

import os
import signal
import threading

import pytest

from robot.demonstration.interrupt import uninterrupted


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_command_comes_after_the_block(number):
    done = []

    def work():
        with uninterrupted() as interrupted:
            os.kill(os.getpid(), number)
            done.append("first")
            os.kill(os.getpid(), number)
            done.append("second")
            assert interrupted()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first", "second"]


def test_without_ctrl_c_nothing_is_raised_and_the_handler_is_back():
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_block_wins_and_the_handler_is_back():
    before = signal.getsignal(signal.SIGINT)

    def work():
        with uninterrupted():
            ctrl_c()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_it_is_only_a_block():
    done = []

    def work():
        with uninterrupted():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
