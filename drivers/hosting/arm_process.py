"""`ArmProcess`: start the arm's process, send it requests through shared memory, and notice when it ends."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from typing import Any

from drivers.child_process import ChildProcess
from drivers.errors import PortError, PortLostError
from drivers.hosting.shared_block import SharedBlock
from trajectories.errors import ConfigError, DeviceError, MissingDependencyError, RegraspError, SafetyError

_ERRORS: dict[str, type[RegraspError]] = {
    kind.__name__: kind for kind in (ConfigError, MissingDependencyError, SafetyError, PortError, PortLostError)
}
"""Others arrive as `DeviceError`."""
_END_S = 2.0
_NEWS_S = 0.5
_PAUSE_S = 0.01


class _Reply:
    """What the process answers to a request."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: RegraspError | None = None
        self.message = ""


class ArmProcess:
    """Starts the process; a thread listens to it until it ends.

    Args:
        task: What the process gets, see `drivers.hosting.child`.

    Attributes:
        process: The process.
        block: The memory shared with it.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.block = SharedBlock.create()
        self.process = ChildProcess(
            "the arm's process", "drivers.hosting.child", {**task, "block_fd": self.block.fd}, self.block.fd or -1
        )
        self.block.close_fd()
        self._news = threading.Condition()
        self._replies: dict[int, _Reply] = {}
        self._numbers = itertools.count(1)
        self._over = False
        self._listener = threading.Thread(target=self._listen, name="arm-process", daemon=True)
        self._listener.start()

    @property
    def ending(self) -> str | None:
        """Why the process ended, None while it runs. Without a system call, which might let another thread go first."""
        return self.process.ending if self._over else None

    def kill(self, why: str) -> None:
        """SIGKILL, and wait for the end."""
        if not self._over:
            self.process.kill(why)
            self._listener.join(_END_S)

    def wait_open(self, timeout_s: float) -> None:
        """Return once the process has taken the arm over.

        Raises:
            RegraspError: Whatever kept it from that.
        """
        with self._news:
            self._news.wait_for(lambda: self.process.opened or self._over, timeout_s)
        if self.process.opened and not self._over:
            return
        self.kill(f"The arm's process didn't take the arm over within {timeout_s:.0f} s.")
        kind = self.process.failure[0] if self.process.failure and not self.process.killed else ""
        raise _ERRORS.get(kind, DeviceError)(self.process.ending)

    def ask(self, do: str, within_s: float, **what: Any) -> str:
        """Have the process do something and wait for it; returns its message.

        Raises:
            RegraspError: What it raised.
            DeviceError: When it ends meanwhile or doesn't answer.
        """
        reply = _Reply()
        with self._news:
            number = next(self._numbers)
            self._replies[number] = reply
            if not self._over:
                self.process.tell({"id": number, "do": do, "orders": self.block.orders, **what})
            else:
                reply.done.set()
        answered = reply.done.wait(within_s)
        with self._news:
            missing = self._replies.pop(number, None) is not None
        if not answered:
            raise DeviceError(f"The arm's process didn't do {do!r} within {within_s:.0f} s; close and connect again.")
        if missing:
            raise PortLostError(f"The arm's process ended before it did {do!r}: {self.process.ending}")
        if reply.error is not None:
            raise reply.error
        return reply.message

    def _listen(self) -> None:
        """The thread: events of the process until it ends."""
        over = False
        while not over:
            self.process.wait_for_news(_NEWS_S)
            over = self.process.exited  # before listening, so that its last words are heard
            events = self.process.listen()
            for event in events:
                self._take(event)
            with self._news:
                self._over = over
                self._news.notify_all()
            if not events and not over:
                time.sleep(_PAUSE_S)  # its pipe is closed already, or the time is up
        with self._news:
            for reply in self._replies.values():
                reply.done.set()
        self.process.release()

    def _take(self, event: Any) -> None:
        if event["event"] == "log":
            logging.getLogger(event["name"]).log(event["level"], "%s", event["message"])
        elif event["event"] == "reply":
            with self._news:
                reply = self._replies.pop(event["id"], None)
            if reply is not None:
                reply.message = event["message"]
                if event["error"] is not None:
                    reply.error = _ERRORS.get(event["error"], DeviceError)(event["message"])
                reply.done.set()
