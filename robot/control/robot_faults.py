"""`RobotFaults`: what stands of a robot as a whole, in its session and in its arm."""

from __future__ import annotations

from collections.abc import Sequence

from robot.control.faults import Fault, FaultLatch, require_known, require_person
from robot.control.safety import SafetyFilter
from robot.interfaces import LatchingArm


class RobotFaults:
    """Keeps the latch of a session's safety filter and that of its arm together; used from any thread.

    The filter's latch has what the arm has, too; the arm gets what the filter's latch has, so that it holds in every
    mode, and remembers it when this process ends.

    Args:
        safety: The filter.
        arm: The arm.
    """

    def __init__(self, safety: SafetyFilter, arm: LatchingArm) -> None:
        self._safety, self._arm = safety, arm
        safety.faults.subscribe(self._tell_arm)

    @property
    def standing(self) -> tuple[Fault, ...]:
        """What stands until a person clears it."""
        latch = self._safety.faults
        latch.add(self._arm.faults)
        return latch.standing

    def require_none(self) -> None:
        """Refuse to move while anything stands, here or in the arm.

        Raises:
            SafetyError: With it.
        """
        self._safety.faults.add(self._arm.faults)
        self._safety.require_no_fault()

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """End exactly these instances; what else stands, goes on standing.

        Raises:
            SafetyError: When no name is given, nothing or something that doesn't stand is named, or the cause of a
                fault of the arm isn't gone.
            DeviceError: When the arm doesn't answer.
        """
        require_person(person)
        require_known(ids, self.standing)
        of_arm = [fault.id for fault in self._arm.faults if fault.id in ids]
        if of_arm:
            self._arm.clear(person, of_arm)
        self._safety.clear(person, ids)

    def adopt(self, faults: FaultLatch) -> None:
        """Latch in `faults` from now on, which was there before the robot and has what people said meanwhile."""
        before = self._safety.faults
        before.unsubscribe(self._tell_arm)
        faults.add(before.standing)
        self._safety.faults = faults
        faults.subscribe(self._tell_arm)

    def _tell_arm(self, faults: tuple[Fault, ...]) -> None:
        known = self._arm.faults
        for fault in faults:
            if fault not in known:
                self._arm.trip(fault)
