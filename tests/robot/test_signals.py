"""What ends a command: Ctrl-C, SIGTERM, a terminal that is closed."""

import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from helpers import ROOT

from robot.signals import ENDINGS, interrupt_once, on_signals, set_from_handler


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_handler_is_called_while_the_block_runs(number):
    before, came = signal.getsignal(number), []
    with on_signals(lambda: came.append(1), number):
        send(number, number)
        assert came == [1, 1]
    assert signal.getsignal(number) is before


def test_what_a_process_was_started_to_ignore_stays_ignored():
    before, came = signal.signal(signal.SIGHUP, signal.SIG_IGN), []  # as nohup does
    try:
        with on_signals(lambda: came.append(1), *ENDINGS):
            send(signal.SIGHUP, signal.SIGTERM)
        assert came == [1]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_orderly_end_is_not_cut_short_by_the_second_signal():
    ended = []

    def work():
        try:
            send(signal.SIGHUP)
        finally:
            send(signal.SIGHUP, signal.SIGTERM)
            ended.append("in order")

    with on_signals(interrupt_once(), signal.SIGTERM, signal.SIGHUP), pytest.raises(KeyboardInterrupt):
        work()
    assert ended == ["in order"]


def test_an_event_is_set_from_a_handler_that_interrupted_its_holder():
    event = threading.Event()
    with on_signals(lambda: set_from_handler(event), signal.SIGTERM):
        with event._cond:  # as inside `event.wait`
            send(signal.SIGTERM)
        assert event.wait(20)


def test_after_a_hang_up_writing_fails_no_more(tmp_path):
    code = "\n".join(
        [
            "import signal, sys, time",
            "from robot.signals import on_signals",
            "came = []",
            "with on_signals(lambda: came.append(1), signal.SIGHUP):",
            "    print('ready', flush=True)",
            "    while not came: time.sleep(0.01)",
            "    print('said into the void', flush=True)",
            "    print('so, too', file=sys.stderr, flush=True)",
            "open(sys.argv[1], 'w').write('in order')",
        ]
    )
    done = tmp_path / "done"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(done)], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    try:
        assert os.read(master, 100).startswith(b"ready")
        os.close(master)  # the kernel hangs up
        assert process.wait(60) == 0
        assert done.read_text() == "in order"
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_while_an_object_is_finalised_ends_the_work_all_the_same():
    class Closing:
        def __del__(self):
            send(signal.SIGTERM)

    def work():
        thing = Closing()
        del thing
        for _ in range(500):
            threading.Event().wait(0.02)

    with on_signals(interrupt_once(), signal.SIGTERM), pytest.raises(KeyboardInterrupt):
        work()
