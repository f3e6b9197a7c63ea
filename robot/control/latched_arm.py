"""`LatchedArm`: the rule of `robot.control.faults` for any arm behind `robot.interfaces.Arm`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from robot.control.faults import Fault, FaultLatch, require_known, require_person
from robot.interfaces import Arm, ArmState
from trajectories.errors import SafetyError
from trajectories.types import Command

_OWN = "the arm"


class LatchedArm:
    """An arm that moves only while nothing stands (`robot.interfaces.LatchingArm`); used from any thread.

    Args:
        arm: Knows one fault of its own at most, as a text.
        latch: What stands already; None takes an empty latch.
    """

    def __init__(self, arm: Arm, latch: FaultLatch | None = None) -> None:
        self._arm, self._latch = arm, FaultLatch() if latch is None else latch
        self._moving = threading.RLock()

    def read(self) -> ArmState:
        """The arm's newest joint state."""
        return self._arm.read()

    def send(self, command: Command) -> None:
        """Set the newest goal.

        Raises:
            SafetyError: While something stands, or as the arm says.
        """
        with self._moving:
            standing = self.faults
            if standing:
                raise SafetyError(f"The arm holds and takes no commands. {' '.join(f.reason for f in standing)}")
            self._arm.send(command)

    def hold(self) -> None:
        """Stop where the arm is; when it stands already because of a hold or fault, nothing is sent any more."""
        with self._moving:
            if not self._latch.standing:
                self._arm.hold()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands; the arm's own fault is latched, and the arm told to hold, when it is seen here."""
        own = self._arm.fault
        if own is not None:
            before = self._latch.standing
            self._latch.trip(own, key=_OWN, renew=True)
            self._stop(before)
        return self._latch.standing

    def trip(self, fault: Fault) -> None:
        """Let this instance stand; the arm holds."""
        before = self._latch.standing
        self._latch.add((fault,))
        self._stop(before)

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """End exactly these instances.

        Raises:
            SafetyError: Without a name, for something that doesn't stand, or when a cause isn't gone.
            DeviceError: When the arm doesn't answer.
        """
        require_person(person)
        standing = self.faults
        require_known(ids, standing)
        if self._arm.fault is not None and any(fault.key == _OWN and fault.id in ids for fault in standing):
            self._arm.clear(person)
        self._latch.clear(person, ids)

    def close(self) -> None:
        """Release the arm."""
        self._arm.close()

    def _stop(self, before: tuple[Fault, ...]) -> None:
        """Tell the arm to hold when something stands and nothing did before."""
        if self._latch.standing and not before:
            with self._moving:
                self._arm.hold()
