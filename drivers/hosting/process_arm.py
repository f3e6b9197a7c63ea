"""`ProcessArm`: any arm in a process of its own.

arm = ProcessArm("my_package.arm:open_arm", {"device": "/dev/ttyUSB0"}, joints=5)
arm.send(Command(joints, width, t_ns))      # through shared memory, in microseconds

A busy session doesn't disturb the arm's loop, and its end doesn't drop the arm:

session hangs     the arm holds after its command time-out
session killed    the arm's process notices, holds, and hands the arm to the next session; see `OrphanSettings` for when
                  nobody comes
process killed    the arm does what its own hardware does in silence; every method says so, `clear` starts a new process

What stands is in the arm's process and in a record on the disk (`drivers.hosting.record`). A new process takes it over
from both and from this session, so that neither a restart nor a kill ends a hold or a fault.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from drivers.errors import PortLostError
from drivers.hosting.arm_process import ArmProcess
from drivers.hosting.checks import JOB_TIMEOUT_S, SILENT, Mode, finite_joints, fresh, require_free
from drivers.hosting.orphan import OrphanSettings
from robot.control.faults import Fault, FaultLatch, reason_of, require_known, require_person
from robot.interfaces import ArmState
from trajectories.errors import DeviceError, SafetyError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

_CONNECT_S = 60.0
_CLOSE_S = 60.0
_END_S = 2.0
_log = logging.getLogger(__name__)


class ProcessArm:
    """An arm in its own process (`robot.interfaces.LatchingArm`); all methods may be called from any thread.

    Args:
        hosting: What is hosted, "module:NAME", see `drivers.hosting.hosted.hosting_named`.
        settings: Given to it, plain JSON types.
        joints: N, of the arm.
        max_age_s: `read` refuses a state that is older.
        orphan: What the process does when this session ends without closing the arm.

    Attributes:
        farewell: What `close` left behind, for a person; empty before.

    Raises:
        PortError: When the device can't be opened or belongs to a running session.
        RegraspError: Whatever else keeps the process from taking the arm over.
    """

    silent = SILENT
    """What a person should check when the arm doesn't answer."""
    after_kill = "Look at the arm: what it does without its process is up to its own hardware."
    """What the arm does when its process was killed."""

    def __init__(
        self,
        hosting: str,
        settings: Mapping[str, Any],
        joints: int,
        max_age_s: float = 0.1,
        orphan: OrphanSettings | None = None,
    ) -> None:
        self.farewell = ""
        self._joints, self._max_age_s = joints, max_age_s
        self._task = {
            "hosting": hosting,
            "settings": dict(settings),
            "orphan": asdict(orphan or OrphanSettings()),
            "terminal": os.ttyname(2) if os.isatty(2) else None,
        }
        self._ordering, self._clearing = threading.Lock(), threading.Lock()
        self._latch = FaultLatch()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id of the arm's process."""
        return self._process.process.pid

    # -- robot.interfaces.LatchingArm -----------------------------------------------------------------------
    def read(self) -> ArmState:
        """The newest joint state.

        Raises:
            StaleDataError: When it is older than `max_age_s` or the arm's process has ended, with the reason.
        """
        trouble = self._trouble
        if trouble is not None:
            raise StaleDataError(f"There is no joint state. {trouble}")
        now = self._process.block.published()
        state, beat_ns, fault = (None, 0, None) if now is None else (now.state, now.beat_ns, reason_of(now.faults))
        return fresh(state, time.monotonic_ns(), beat_ns, self._max_age_s, fault, self.silent)

    def send(self, command: Command) -> None:
        """Set the newest goal, joints (N,) rad. Returns at once.

        Raises:
            SafetyError: When it isn't finite, or something stands.
            PortLostError: When the arm's process has ended.
        """
        finite_joints(command, self._joints)
        self._order(command)

    def hold(self) -> None:
        """Stop where the arm is, gripper included, until the next command.

        Raises:
            PortLostError: When the arm's process has ended.
        """
        self._order(None)

    @property
    def fault(self) -> str | None:
        """Why the arm takes no commands, or None."""
        return self._trouble if self.farewell else reason_of(self.faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands in the arm's process and, told by this session, on the way there; none once the arm is closed."""
        if self.farewell:
            return ()
        trouble = self._trouble or self._hang
        if trouble is not None:
            self._latch.trip(trouble, key=f"process {self.pid}")
        now = self._process.block.published()
        in_process = () if now is None else now.faults
        known = {fault.id for fault in in_process}
        return (*in_process, *(fault for fault in self._latch.standing if fault.id not in known))

    def trip(self, fault: Fault) -> None:
        """Let this instance stand; at once, from any thread, whatever the arm's process is doing."""
        with self._ordering:
            self._latch.add((fault,))
            self._process.block.tell(self._latch.standing)

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """End these instances of `faults`: a person who looked at the arm, and supports it, takes responsibility.

        A process that ended, or hangs, is replaced by a new one, which takes the arm over where it is, and with it
        what stands besides.

        Raises:
            SafetyError: Without a name, for what doesn't stand, or when the cause isn't gone.
            DeviceError, ConfigError: When the arm doesn't answer or can't be taken over.
        """
        require_person(person)
        if self.farewell:
            self._require_alive()
        with self._clearing:
            standing = self.faults
            require_known(ids, standing)
            ended = [fault.id for fault in standing if fault.key == f"process {self.pid}"]
            if ended:
                if not set(ended) <= set(ids):
                    raise SafetyError(f"The arm has no working process, and that was not named. {reason_of(standing)}")
                self._process.kill(f"The arm's process did nothing for more than {JOB_TIMEOUT_S:.0f} s.")
                self._replace(standing, ended)
                _log.warning("New process for the arm, on the word of %s.", person)
            in_process = [fault.id for fault in self._process.block.verdict()[1] if fault.id in ids]
            if in_process:
                self._process.ask("clear", 2 * JOB_TIMEOUT_S, person=person, ids=in_process)
            with self._ordering:
                self._latch.clear(person, ids)
                self._process.block.tell(self._latch.standing)

    def close(self) -> None:
        """Release the device without dropping the arm; `farewell` says what it does now. May be called twice."""
        if self.farewell:
            return
        process = self._process
        try:
            self.farewell = process.ask("close", _CLOSE_S)
        except DeviceError as error:
            process.kill(str(error))
            self.farewell = f"{error} {self.after_kill}"
            _log.warning("Arm closed. %s", self.farewell)
        process.process.ends_within(_END_S)

    # -- beyond the interface -----------------------------------------------------------------------
    @property
    def mode(self) -> Mode:
        """What the arm's loop does; LOST without its process."""
        return Mode.LOST if self._trouble else self._process.block.verdict()[0]

    def figures(self) -> dict[str, Any]:
        """How the arm is doing, plain JSON types; at most half a second old.

        Raises:
            DeviceError: When nothing was reported yet.
        """
        found = self._process.block.figures()
        if found is None:
            raise DeviceError("The arm's process has reported nothing yet.")
        return found

    def ask(self, do: str, within_s: float, **what: Any) -> None:
        """Have the arm's process do something that its kind of arm can do, and wait for it.

        Raises:
            RegraspError: What it raised.
            PortLostError: When the arm's process ends or has ended.
        """
        self._require_alive()
        self._process.ask(do, within_s, **what)

    # -- inside -------------------------------------------------------------------------------------
    @property
    def _trouble(self) -> str | None:
        """Why there is no process, for people; None while there is one."""
        if self.farewell:
            return "The arm is closed; connect again."
        ending = self._process.ending
        if ending is None:
            return None
        return (
            f"{ending[:1].upper()}{ending[1:]} {self.after_kill} Look at the arm, then clear this: a new process takes "
            "it over where it is."
        )

    @property
    def _hang(self) -> str | None:
        """That the process does nothing, for people; None while it works."""
        now = self._process.block.published()
        if now is None or time.monotonic_ns() - now.beat_ns <= JOB_TIMEOUT_S * NS_PER_S:
            return None
        return (
            f"The arm's process did nothing for more than {JOB_TIMEOUT_S:.0f} s. {self.after_kill} Look at the arm, "
            "then clear this: a new process takes its place."
        )

    def _replace(self, standing: Sequence[Fault], ended: Sequence[str]) -> None:
        """A new process, with all that stands but the end of the one before."""
        left = tuple(fault for fault in standing if fault.id not in ended)
        process = self._start(left)
        with self._ordering:
            self._process = process
            process.block.tell([fault for fault in self._latch.standing if fault.id not in ended])

    def _start(self, faults: Sequence[Fault] = ()) -> ArmProcess:
        process = self._new_process({**self._task, "faults": [fault.to_dict() for fault in faults]})
        try:
            process.wait_open(_CONNECT_S)
        except BaseException:
            process.kill("The arm's process was ended while it took the arm over.")
            raise
        return process

    def _new_process(self, task: Mapping[str, Any]) -> ArmProcess:
        return ArmProcess(dict(task))

    def _order(self, command: Command | None) -> None:
        self._require_alive()
        block = self._process.block
        if command is not None:
            require_free([*block.verdict()[1], *self._latch.standing])
        with self._ordering:
            block.order(command)

    def _require_alive(self) -> None:
        trouble = self._trouble
        if trouble is not None:
            raise PortLostError(trouble)
