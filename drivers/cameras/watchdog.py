"""Judge a camera's frames, kill its process when it hangs, and start it again after a pause."""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum

from drivers.cameras.config import CameraConfig, Patience
from drivers.cameras.ring import FrameRing, Stamp
from drivers.child_process import ChildProcess
from trajectories.numbers import NS_PER_S

logger = logging.getLogger(__name__)

PERMANENT = ("ConfigError", "MissingDependencyError")
_TICK_S = 0.02


class CameraProcess(ChildProcess):
    """A process that runs `drivers.cameras.child`; it never outlives the thread that made it."""

    def __init__(self, config: CameraConfig, ring: FrameRing) -> None:
        """Start it; `ring` must be the owner's."""
        task = {"camera": config.to_dict(), "ring_fd": ring.owner_fd}
        super().__init__("the camera's process", "drivers.cameras.child", task, ring.owner_fd)


class State(StrEnum):
    """How a camera is doing."""

    STARTING = "starting"  # its process runs, no frame of it yet
    STREAMING = "streaming"
    STALE = "stale"  # no new frame for too long
    FROZEN = "frozen"  # the same image over and over
    LOST = "lost"  # no process: it failed, was killed, or waits for its next start


def judge(now_ns: int, started_ns: int, stamp: Stamp | None, patience: Patience) -> State:
    """The state of a camera whose process started at `started_ns` and wrote `stamp` last."""
    if stamp is None or stamp.t_ns < started_ns:
        return State.STARTING
    if now_ns - stamp.t_ns > patience.stale_s * NS_PER_S:
        return State.STALE
    if is_frozen(stamp, patience):
        return State.FROZEN
    return State.STREAMING


def is_frozen(stamp: Stamp, patience: Patience) -> bool:
    """Whether the image has been the same for longer than allowed."""
    return stamp.t_ns - stamp.changed_ns > patience.frozen_s * NS_PER_S


def why_kill(now_ns: int, state: State, since_ns: int, beat_ns: int | None, patience: Patience) -> str | None:
    """Why a running process must be killed, or None.

    Args:
        now_ns: Monotonic ns.
        state: Its state.
        since_ns: Since when.
        beat_ns: Its last sign of life; None while it hasn't opened its device.
        patience: Time limits.
    """
    if beat_ns is not None and now_ns - beat_ns > patience.hang_s * NS_PER_S:
        return f"a driver call hung for more than {patience.hang_s:g} s."
    held = (now_ns - since_ns) / NS_PER_S
    if state is State.STARTING and held > patience.open_s:
        return f"there was no frame within {patience.open_s:g} s of the start."
    if state in (State.STALE, State.FROZEN) and held > patience.bad_s:
        return f"the camera stayed {state} for {patience.bad_s:g} s."
    return None


def pause_s(failures: int, patience: Patience) -> float:
    """Pause before the next start after `failures` (1 or more) in a row, s."""
    return float(min(patience.longest_wait_s, patience.first_wait_s * 2 ** min(failures - 1, 30)))


class Watchdog:
    """A thread that keeps one camera's process alive and in order.

    Attributes:
        state: The camera's state.
        starts: Processes started so far.
        pid: Of the running process, None when there is none.
        last_error: Why the last process ended, None so far.
        error_kind: Name of that error's class.
        gave_up: Whether starting again is of no use (wrong setting, missing library).
    """

    def __init__(self, config: CameraConfig, ring: FrameRing) -> None:
        self.state = State.STARTING
        self.starts = 0
        self.pid: int | None = None
        self.last_error: str | None = None
        self.error_kind = ""
        self.gave_up = False
        self._config, self._ring, self._patience = config, ring, config.patience
        self._process: CameraProcess | None = None
        self._since_ns = self._next_start_ns = time.monotonic_ns()
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{config.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the process and the thread; may be called twice."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """The thread. It also starts the processes: the kernel ties their life to the thread that made them."""
        try:
            while not self._stop.wait(_TICK_S):
                self._tick(time.monotonic_ns())
        finally:
            if self._process is not None:
                self._process.stop()
            self._process, self.pid, self.state = None, None, State.LOST

    def _tick(self, now_ns: int) -> None:
        process = self._process
        if process is None:
            if not self.gave_up and now_ns >= self._next_start_ns:
                self._start()
            return
        exited = process.exited
        process.listen()
        if exited:
            self._bury(process, now_ns)
            return
        self._enter(judge(now_ns, process.started_ns, self._ring.stamp(), self._patience), now_ns)
        if self.state is State.STREAMING and now_ns - self._since_ns > self._patience.settled_s * NS_PER_S:
            self._failures = 0
        beat_ns = max(self._ring.beat_ns, process.started_ns) if process.opened else None
        why = why_kill(now_ns, self.state, self._since_ns, beat_ns, self._patience)
        if why is not None and process.killed is None:
            process.kill(why)

    def _start(self) -> None:
        try:
            self._process = CameraProcess(self._config, self._ring)
        except OSError as error:  # out of processes or memory: later there may be some again
            self._fail(f"its process can't be started: {error}", "", time.monotonic_ns())
            return
        self.pid = self._process.pid
        self.starts += 1
        self._enter(State.STARTING, self._process.started_ns)
        self._since_ns = self._process.started_ns

    def _bury(self, process: CameraProcess, now_ns: int) -> None:
        """Forget a process that ended, after asking it why."""
        process.release()
        self._process, self.pid = None, None
        kind = process.failure[0] if process.failure and not process.killed else ""
        self._fail(process.ending, kind, now_ns)

    def _fail(self, why: str, kind: str, now_ns: int) -> None:
        self.last_error, self.error_kind = why, kind
        self.gave_up = kind in PERMANENT
        self._failures += 1
        self._next_start_ns = now_ns + round(pause_s(self._failures, self._patience) * NS_PER_S)
        self._enter(State.LOST, now_ns)
        logger.warning("camera %s: %s", self._config.name, why)

    def _enter(self, state: State, now_ns: int) -> None:
        if state is not self.state:
            self.state, self._since_ns = state, now_ns
