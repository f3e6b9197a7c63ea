"""Getting a robot going again after a fault, with the help of whoever attends to it.

    hold, tell people what happened
    something stands (a hold, a fault of safety filter or arm): a person who looked at it names it and clears it
    data are stale (a camera or the line is away): on as soon as they stay fresh for a while; on the arm a person says
        ready when a camera was connected anew

Sessions let it run between two episodes; what the fault cut short has been recorded before.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from robot.control.faults import Clearance, Fault, require_known, require_person
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
_POLL_S = 0.2
_LOOK_S = 1.0


class Recovery:
    """Brings the robot back after errors of the kinds `RECOVERABLE`.

    Args:
        env: The robot.
        operator: Who looks at it first; what it leaves, waits for the word "clear" of a person.
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
        self._answer = threading.Condition()
        self._asked: tuple[Fault, ...] = ()
        self._told_s = 0.0
        self._word: Clearance | None = None

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
        stale = self._env.fault is None
        self._notify(f"{'The arm holds' if stale else 'The session waits'}. {error}")
        try:
            self._wait(error)
        finally:
            self.waiting_for = None
        self._notify(GOES_ON)

    def stand(self, why: str) -> None:
        """Return when nothing stands any more; at once when nothing does.

        Args:
            why: Said to people before the waiting.

        Raises:
            StoppedError: When a person ends the session meanwhile.
        """
        if self._env.faults:
            self.after(SafetyError(f"{why} {self._env.fault}"))

    def clear(self, by: str, ids: Sequence[str] = ()) -> str:
        """The word of a person who looked at the arm, from any thread; returns an answer for the person.

        Args:
            by: The person's name.
            ids: Of the faults that the person saw; empty, for devices without a screen: those that were last told,
                unless that was within a second, in which nobody looks at an arm.

        Raises:
            SafetyError: Without a name, or for what doesn't stand.
        """
        require_person(by)
        with self._answer:
            if not self._asked:
                return "Nobody waits for 'clear' now."
            if not ids and time.monotonic() - self._told_s < _LOOK_S:
                return "Something came just now; look at the arm, and say it again."
            ids = tuple(ids) or tuple(fault.id for fault in self._asked)
            require_known(ids, self._env.faults)
            self._word = Clearance(by, ids)
            self._answer.notify_all()
        return f"Thank you; {', '.join(ids)} is being cleared."

    def _hold(self) -> None:
        with contextlib.suppress(RegraspError):
            self._env.hold()

    def _wait(self, error: RegraspError) -> None:
        looks, quiet_s, first = 0, 0.0, error
        needed = _STEADY_LOOKS if isinstance(error, StaleDataError) else 1
        while True:
            if self._stop.is_set():
                raise StoppedError("The session was stopped while the robot was waiting to be brought back.")
            try:
                self._bring_back(error)
                looks += 1
                if looks >= needed:
                    break
            except RECOVERABLE as again:
                error, looks = again, 0
                if self._env.fault is None:
                    self.waiting_for = f"fresh data: {error}"
            if quiet_s >= _TELL_AGAIN_S:
                quiet_s = 0.0
                self._notify(f"Still waiting. {error}")
            self._stop.wait(_LOOK_AGAIN_S)
            quiet_s += _LOOK_AGAIN_S
        if isinstance(first, StaleDataError):
            self._operator.resume(str(first))
            self._env.resync()

    def _bring_back(self, error: RegraspError) -> None:
        """Once: have what stands cleared, then look.

        Raises:
            RegraspError: When something still stands or is wrong.
        """
        faults = self._env.faults
        if faults:
            self.waiting_for = f"clear: look at the arm, remove the cause, then clear: {_named(faults)}"
            word = self._operator.recover(faults) or self._persons_word(faults)
            self._env.clear_faults(word.person, word.ids)
            if self._env.faults:
                raise SafetyError(f"Something else stands: {self._env.fault}")
        self._env.resync()
        self._env.observe()

    def _persons_word(self, faults: tuple[Fault, ...]) -> Clearance:
        """Wait for the word; who waits is told anew when something else comes to stand.

        Raises:
            StoppedError: When a person ends the session meanwhile.
        """
        told: tuple[Fault, ...] = ()
        try:
            while True:
                if faults != told:
                    told = faults
                    with self._answer:
                        self._asked, self._told_s = faults, time.monotonic()
                    self._tell(faults)
                with self._answer:
                    self._answer.wait_for(lambda: self._word is not None, _POLL_S)
                    if self._word is not None:
                        return self._word
                if self._stop.is_set():
                    raise StoppedError("The session was stopped while it waited for a person (clear).")
                faults = self._env.faults or faults
        finally:
            with self._answer:
                self._asked, self._word = (), None

    def _tell(self, faults: tuple[Fault, ...]) -> None:
        """Say to people what stands, and how it is cleared."""
        self.waiting_for = f"clear: look at the arm, remove the cause, then clear: {_named(faults)}"
        ids = [fault.id for fault in faults]
        named = f"fault={ids[0]}" if len(ids) == 1 else f"'fault=[{','.join(ids)}]'"
        self._notify(
            f"Waiting for a person: {self.waiting_for} (`regrasp watch`, or `regrasp say word=clear by=NAME {named}`)"
        )


def _named(faults: Sequence[Fault]) -> str:
    """The reasons, each with the name of its instance."""
    return " ".join(f"[{fault.id}] {fault.reason}" for fault in faults)
