"""Run the arm in a process of its own; `ProcessArm` starts this module.

It outlives its session: when that ends without closing the arm, the arm brakes and holds, the loop goes on looking
after the servos, and whoever connects next gets the arm where it is. When nobody does, the arm closes as its settings
say.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from drivers.hosting.claim import Claim, answer
from drivers.hosting.hosted import Hosted, hosting_named
from drivers.hosting.orphan import OrphanSettings
from drivers.hosting.record import record_of
from drivers.hosting.shared_block import SharedBlock
from drivers.parent_link import FAILED, Events, read_task
from robot.control.faults import FaultLatch, inherited, reason_of
from robot.control.priority import raise_priority
from trajectories.errors import RegraspError
from trajectories.numbers import NS_PER_S

_TICK_S = 0.1
_FIGURES_S = 0.25
_BRAKE_S = 0.3
"""A moving arm stands after that."""
_PIECE = 65536
_log = logging.getLogger(__name__)


class EventHandler(logging.Handler):
    """Sends log records to the session; never waits."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.INFO)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Send one; it is lost when the session doesn't listen."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({record.exc_info[1]!r})"
        self._events.hint("log", level=record.levelno, name=record.name, message=text)


class Host:
    """Does what the session asks for, and what has to be done when it is gone.

    Args:
        arm: The arm.
        claim: To it.
        events: To the session.
        orphan: What to do without a session.
        parent: The session's process.
        terminal: Path of the session's terminal, where a process without session says what it does.
    """

    def __init__(
        self,
        arm: Hosted,
        claim: Claim,
        events: Events,
        orphan: OrphanSettings,
        parent: int,
        terminal: str | None,
    ) -> None:
        self._arm, self._claim, self._events = arm, claim, events
        self._orphan, self._parent, self._terminal = orphan, parent, terminal
        self._said = b""
        self._hung_up = False
        self._alone_ns: int | None = None
        self._closing: threading.Thread | None = None
        self._close_ids: list[int] = []
        self._told_to_end = False
        self._figures_ns = 0
        signal.signal(signal.SIGTERM, self._end)

    def run(self) -> int:
        """Serve until the arm is closed or handed over; return the exit code."""
        while True:
            sources: list[Any] = [self._claim] if self._hung_up else [self._claim, 0]
            ready, _, _ = select.select(sources, [], [], _TICK_S)
            if 0 in ready:
                self._listen()
            if self._claim in ready and (visitor := self._claim.visitor()) is not None:
                if self._alone:
                    self._hand_over(visitor)
                    return 0
                answer(visitor, lets_go=False, session=self._parent)
            if self._arm.crashed:
                self._arm.publish()
                self._events.tell("failed", kind="DeviceError", message=reason_of(self._arm.faults))
                return FAILED
            if self._closing is not None and not self._closing.is_alive():
                self._finish()
                return 0
            if self._alone:
                self._wait_alone()
            self._put_figures()

    # -- with a session -----------------------------------------------------------------------------
    def _listen(self) -> None:
        """Take what the session asks for; each request gets a thread, since some take long."""
        piece = os.read(0, _PIECE)
        self._hung_up = not piece
        self._said += piece
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            request = json.loads(line)
            self._arm.skip_orders(request["orders"])
            if request["do"] == "close":
                self._close_ids.append(request["id"])
                self._close()
            else:
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request: Mapping[str, Any]) -> None:
        error: RegraspError | None = None
        try:
            self._arm.perform(request)
        except RegraspError as problem:
            error = problem
        self._reply(request["id"], error=type(error).__name__ if error else None, message=str(error or ""))

    def _reply(self, number: int, **what: Any) -> None:
        self._events.tell("reply", id=number, **what)

    def _close(self) -> None:
        if self._closing is None:
            self._closing = threading.Thread(target=self._arm.close, name="closing")
            self._closing.start()

    def _finish(self) -> None:
        self._arm.put_figures()
        self._claim.release()
        for number in self._close_ids:
            self._reply(number, error=None, message=self._arm.farewell)

    def _put_figures(self) -> None:
        now = time.monotonic_ns()
        if now - self._figures_ns >= _FIGURES_S * NS_PER_S:
            self._figures_ns = now
            self._arm.put_figures()

    # -- without ------------------------------------------------------------------------------------
    @property
    def _alone(self) -> bool:
        return self._hung_up or os.getppid() != self._parent

    def _wait_alone(self) -> None:
        now = time.monotonic_ns()
        if self._alone_ns is None:
            self._alone_ns = now
            self._speak_for_itself()
            if self._closing is None:
                stands = bool(self._arm.faults)
                if not stands:  # a rest goes on protecting the servos
                    self._arm.hold()
                closing = "without a motion, since something stands" if stands else f"on_close: {self._arm.on_close}"
                _log.warning(
                    "The arm's session (process %d) ended without closing the arm: it holds where it is. Start a "
                    "session to take it over there; after %.0f s, or kill %d, it closes by itself (%s).",
                    self._parent, self._orphan.patience_s, os.getpid(), closing,
                )  # fmt: skip
        if self._told_to_end or now - self._alone_ns >= self._orphan.patience_s * NS_PER_S:
            self._close()

    def _hand_over(self, visitor: socket.socket) -> None:
        """Let go of the arm, which holds, and tell the next process of the same port."""
        held_s = 0.0 if self._alone_ns is None else (time.monotonic_ns() - self._alone_ns) / NS_PER_S
        faults = [fault.to_dict() for fault in self._arm.faults]
        if not faults:
            self._arm.hold()
        if self._closing is not None:
            self._closing.join()
        else:
            time.sleep(max(_BRAKE_S - held_s, 0.0))
            self._arm.leave()
        self._claim.release()
        answer(visitor, lets_go=True, session=self._parent, held_s=held_s, faults=faults)

    def _speak_for_itself(self) -> None:
        """Log to the session's terminal, if it had one: its pipes lead nowhere any more."""
        fd = os.open(os.devnull, os.O_WRONLY)
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                fd = os.open(self._terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)

    def _end(self, *_: object) -> None:
        """SIGTERM: a process without session closes the arm now; others wait for their session's word."""
        self._told_to_end = True


def connect(task: Mapping[str, Any], priority: str) -> tuple[Hosted, Claim]:
    """Claim the arm, open it, and take it over where it is, with what stood in the processes before.

    Raises:
        PortError: When it can't be opened, or belongs to a running session.
        RegraspError: Whatever else keeps the arm from being taken over.
    """
    hosting = hosting_named(task["hosting"])
    resource = hosting.resource(task["settings"])
    claim = Claim(resource)
    try:
        latch = FaultLatch(record_of(resource))
        latch.add(inherited([*claim.before.get("faults", ()), *task["faults"]]))
        arm = hosting.open(task["settings"], SharedBlock.attach(task["block_fd"]), priority, latch)
    except BaseException:
        claim.release()
        raise
    if claim.before:
        _log.warning(
            "The arm was taken over from the session of process %d, which had ended %.1f s before.",
            claim.before["session"], claim.before["held_s"],
        )  # fmt: skip
    for fault in latch.standing:
        _log.warning("It stands still until a person clears this (%s): %s", fault.id, fault.reason)
    return arm, claim


def main() -> int:
    """Run until the arm is closed or handed over; exit code 3 after a failure that was reported."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    events = Events()
    task = read_task()
    logging.basicConfig(level=logging.INFO, handlers=[EventHandler(events)])
    claim = None
    try:
        arm, claim = connect(task, raise_priority())
        gc.collect()
        gc.freeze()  # what is here stays: no cycle of the loop waits for a collection of it
        host = Host(arm, claim, events, OrphanSettings(**task["orphan"]), task["parent"], task["terminal"])
        events.tell("open")
        return host.run()
    except RegraspError as error:
        events.tell("failed", kind=type(error).__name__, message=str(error))
        return FAILED
    finally:
        if claim is not None:
            claim.release()
