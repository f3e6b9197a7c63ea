"""`ProcessArm`: `WidowX` with its control loop in a process of its own.

arm = ProcessArm.connect("FT4THVDH")        # the same methods as `WidowX`
arm.send(Command(joints, width, t_ns))      # through shared memory, in microseconds

A busy session doesn't disturb the loop, and its end doesn't drop the arm:

session hangs     the arm holds after `command_timeout_s`
session killed    the arm's process notices, brakes, holds, and hands the arm to the next session on the same port; see
                  `OrphanSettings` for when nobody comes
process killed    the servos' watchdogs stop them, they hold; every method says so, `clear` starts a new process
"""

from __future__ import annotations

import logging
import os
import threading
import time

from drivers.dynamixel.servo_map import WX250S, ServoMap, servo_map
from drivers.errors import PortLostError
from drivers.widowx.arm import JOB_TIMEOUT_S, finite_joints, fresh
from drivers.widowx.arm_process import ArmProcess
from drivers.widowx.mode import Mode, require_free, require_person
from drivers.widowx.reading import ServoStatus
from drivers.widowx.settings import ArmSettings, OrphanSettings
from drivers.widowx.statistics import LoopReport
from robot.interfaces import ArmState
from trajectories.errors import DeviceError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

_CONNECT_S = 60.0
_CLOSE_S = 60.0
_END_S = 2.0
_log = logging.getLogger(__name__)


class ProcessArm:
    """An arm in its own process, with the methods of `WidowX`; all may be called from any thread.

    Attributes:
        model: Which arm.
        settings: See `ArmSettings`.
        farewell: What `close` left behind, for a person; empty before.
    """

    def __init__(self, port: str, model: ServoMap, settings: ArmSettings, orphan: OrphanSettings) -> None:
        """Start the process and wait until it has taken the arm over; see `connect`."""
        self.model, self.settings = model, settings
        self.farewell = ""
        self._task = {
            "port": port,
            "model": model.name,
            "settings": settings.to_dict(),
            "orphan": {"on_orphan": orphan.on_orphan, "orphan_s": orphan.orphan_s},
            "terminal": os.ttyname(2) if os.isatty(2) else None,
        }
        self._joints = len(model.joints)
        self._ordering, self._clearing = threading.Lock(), threading.Lock()
        self._process = self._start()

    @classmethod
    def connect(
        cls,
        port: str,
        model_name: str = WX250S.name,
        settings: ArmSettings | None = None,
        orphan: OrphanSettings | None = None,
    ) -> ProcessArm:
        """Open the arm on a serial port and take it over where it is, also after a session that was killed.

        Args:
            port: A path, or a part of a name in /dev/serial/by-id (which survives plugging in again).
            model_name: Which arm, see `SERVO_MAPS`.
            settings: See `ArmSettings`.
            orphan: What the process does when this session ends without closing the arm.

        Raises:
            PortError: When the port can't be opened or belongs to a running session.
            DeviceError, ConfigError, SafetyError: See `ControlLoop`.
        """
        return cls(port, servo_map(model_name), settings or ArmSettings(), orphan or OrphanSettings())

    @property
    def pid(self) -> int:
        """Process id of the arm's process."""
        return self._process.process.pid

    # -- robot.interfaces.Arm -----------------------------------------------------------------------
    def read(self) -> ArmState:
        """The newest joint state.

        Raises:
            StaleDataError: When it is older than `max_age_s` or the arm's process has ended, with the reason.
        """
        trouble = self._trouble
        if trouble is not None:
            raise StaleDataError(f"There is no joint state. {trouble}")
        now = self._process.block.published()
        state, beat_ns, fault = (None, 0, None) if now is None else (now.state, now.beat_ns, now.fault)
        return fresh(state, time.monotonic_ns(), beat_ns, self.settings.max_age_s, fault)

    def send(self, command: Command) -> None:
        """Set the newest goal; joints (N,) rad beyond the limits are moved to them. Returns at once.

        Raises:
            SafetyError: When it isn't finite, or a fault or rest is latched.
            PortLostError: When the arm's process has ended.
        """
        finite_joints(command, self._joints)
        self._order(command)

    def hold(self) -> None:
        """Stop where the arm is. A rest or fault goes on as it is; the gripper keeps its goal.

        Raises:
            PortLostError: When the arm's process has ended.
        """
        self._order(None)

    def close(self) -> None:
        """Release the port without dropping the arm; `farewell` says what it does now. May be called twice."""
        if self.farewell:
            return
        process = self._process
        try:
            self.farewell = process.ask("close", _CLOSE_S)
        except DeviceError as error:
            process.kill(str(error))
            self.farewell = f"{error} The servos stop by themselves: they HOLD WITH TORQUE ON."
            _log.warning("Arm closed. %s", self.farewell)
        process.process.ends_within(_END_S)

    # -- beyond the interface -----------------------------------------------------------------------
    @property
    def mode(self) -> Mode:
        """What the loop does; LOST without its process."""
        return Mode.LOST if self._trouble else self._process.block.verdict()[0]

    @property
    def fault(self) -> str | None:
        """Why the arm takes no commands, or None."""
        return self._trouble or self._process.block.verdict()[1]

    def report(self) -> LoopReport:
        """Periods, missed cycles, durations and bus errors, at most half a second old."""
        return self._figures()[0]

    def health(self) -> dict[int, ServoStatus]:
        """How every servo is doing, by id; at most half a second old."""
        return self._figures()[1]

    def sleep(self, timeout_s: float = 30.0) -> None:
        """Go slowly to the sleep pose; returns when the arm lies in it, with torque on. A command or hold cancels it.

        Raises:
            SafetyError: When it was cancelled, a fault is latched, or it takes too long.
            PortLostError: When the arm's process ends.
        """
        self._require_alive()
        self._process.ask("sleep", timeout_s + JOB_TIMEOUT_S, timeout_s=timeout_s)

    def clear(self, person: str) -> None:
        """Go on after a fault or rest: a person who looked at the arm, and supports it, takes responsibility.

        A process that ended, or hangs, is replaced by a new one, which takes the arm over where it is.

        Raises:
            SafetyError: Without a name or when the cause isn't gone.
            DeviceError, ConfigError: When servos don't answer or the arm can't be taken over.
        """
        require_person(person)
        if self.farewell:
            self._require_alive()
        with self._clearing:
            now = self._process.block.published()
            if now is not None and time.monotonic_ns() - now.beat_ns > JOB_TIMEOUT_S * NS_PER_S and not self._trouble:
                self._process.kill(f"The arm's process did nothing for more than {JOB_TIMEOUT_S:.0f} s.")
            if self._trouble is None:
                try:
                    self._process.ask("clear", 2 * JOB_TIMEOUT_S, person=person)
                    return
                except PortLostError:
                    if self._trouble is None:
                        raise
            self._process = self._start()
            _log.warning("New process for the arm, on the word of %s.", person)
            if self.fault is not None:
                self._process.ask("clear", 2 * JOB_TIMEOUT_S, person=person)

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
            f"{ending[:1].upper()}{ending[1:]} The servos stop by themselves and hold. Look at the arm, then "
            "clear('your name'): a new process takes it over where it is."
        )

    def _start(self) -> ArmProcess:
        process = ArmProcess(self._task)
        try:
            process.wait_open(_CONNECT_S)
        except BaseException:
            process.kill("The arm's process was ended while it took the arm over.")
            raise
        return process

    def _order(self, command: Command | None) -> None:
        self._require_alive()
        block = self._process.block
        if command is not None:
            require_free(*block.verdict())
        with self._ordering:
            block.order(command)

    def _figures(self) -> tuple[LoopReport, dict[int, ServoStatus]]:
        found = self._process.block.figures()
        if found is None:
            raise DeviceError("The arm's process has reported nothing yet.")
        return found

    def _require_alive(self) -> None:
        trouble = self._trouble
        if trouble is not None:
            raise PortLostError(trouble)
