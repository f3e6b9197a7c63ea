"""Getting a robot going again after a fault, with the help of whoever attends to it.

    hold, tell people what happened
    a fault is latched (safety filter, arm): a person who looked at it clears it, and gives a name
    data are stale (a camera or the line is away): on as soon as they stay fresh for a while; nothing was latched

Sessions let it run between two episodes; what the fault cut short has been recorded before.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable

from robot.interfaces import Operator
from robot.rollout.environment import RobotEnv
from trajectories.errors import DeviceError, RegraspError, SafetyError, StaleDataError, StoppedError

RECOVERABLE = (SafetyError, StaleDataError, DeviceError)
"""What a robot can recover from; everything else is a mistake in settings or code."""
GOES_ON = "The robot goes on."
_LOOK_AGAIN_S = 0.2
_STEADY_LOOKS = 5
"""In a row with fresh data: a slow camera has a fresh frame now and then."""
_TELL_AGAIN_S = 15.0


class Recovery:
    """Brings the robot back after errors of the kinds `RECOVERABLE`.

    Args:
        env: The robot.
        operator: Who looks at it and clears faults.
        notify: Gets lines for people.
        stop: Set when a person wants the session to end; waiting ends then.
        most: Recoveries without an episode in between before the error is raised after all.

    Attributes:
        counts: Kind of error -> how often the robot was brought back from it.
        waiting_for: What has to happen before the robot goes on, for people; None while nothing has.
    """

    def __init__(
        self,
        env: RobotEnv,
        operator: Operator,
        notify: Callable[[str], None],
        stop: threading.Event | None = None,
        most: int = 10,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.waiting_for: str | None = None
        self._env, self._operator, self._notify = env, operator, notify
        self._stop = stop or threading.Event()
        self._most, self._in_a_row = most, 0

    def succeeded(self) -> None:
        """An episode came to its end: errors count anew."""
        self._in_a_row = 0

    def after(self, error: RegraspError) -> None:
        """Return when the robot can go on.

        Raises:
            StoppedError: When a person ends the session meanwhile.
            RegraspError: `error` itself, when it came too often in a row.
        """
        self._in_a_row += 1
        self.counts[type(error).__name__] += 1
        if self._in_a_row > self._most:
            self._notify(f"The robot failed {self._in_a_row} times without an episode in between; giving up.")
            raise error
        self._hold()
        self._notify(f"{'The arm holds' if self._env.fault is None else 'The session waits'}. {error}")
        try:
            self._wait(error)
        finally:
            self.waiting_for = None
        self._notify(GOES_ON)

    def _hold(self) -> None:
        with contextlib.suppress(RegraspError):
            self._env.hold()

    def _wait(self, error: RegraspError) -> None:
        looks, quiet_s = 0, 0.0
        needed = _STEADY_LOOKS if isinstance(error, StaleDataError) else 1
        while True:
            if self._stop.is_set():
                raise StoppedError("The session was stopped while the robot was waiting to be brought back.")
            try:
                self._bring_back(error)
                looks += 1
                if looks >= needed:
                    return
            except RECOVERABLE as again:
                error, looks = again, 0
                if self._env.fault is None:
                    self.waiting_for = f"fresh data: {error}"
            if quiet_s >= _TELL_AGAIN_S:
                quiet_s = 0.0
                self._notify(f"Still waiting. {error}")
            self._stop.wait(_LOOK_AGAIN_S)
            quiet_s += _LOOK_AGAIN_S

    def _bring_back(self, error: RegraspError) -> None:
        fault = self._env.fault
        if fault is not None:
            # Stale data are often the first that is seen of a fault.
            reason = fault if isinstance(error, StaleDataError) else str(error)
            self.waiting_for = f"clear: look at the arm, remove the cause, then clear the fault. {reason}"
            self._env.clear_fault(self._operator.recover(reason))
        self._env.resync()
        self._env.observe()
