"""`ProcessWidowX`: `WidowX` with its control loop in a process of its own; see `drivers.hosting.process_arm`.

arm = ProcessWidowX.connect("FT4THVDH")     # the same methods as `WidowX`

When its process is killed, the servos' watchdogs stop them, and they hold.
"""

from __future__ import annotations

from drivers.dynamixel.servo_map import WX250S, servo_map
from drivers.hosting.checks import JOB_TIMEOUT_S
from drivers.hosting.orphan import OrphanSettings
from drivers.hosting.process_arm import ProcessArm
from drivers.widowx.arm import SILENT
from drivers.widowx.reading import ServoStatus
from drivers.widowx.settings import ArmSettings
from drivers.widowx.statistics import LoopReport

HOSTING = "drivers.widowx.hosting:WIDOWX"


class ProcessWidowX(ProcessArm):
    """An arm of Interbotix' X series in its own process, with the methods of `WidowX`.

    Args:
        port: A path, or a part of a name in /dev/serial/by-id (which survives plugging in again).
        model_name: Which arm, one of `SERVO_MAPS`.
        settings: See `ArmSettings`.
        orphan: What the process does when this session ends without closing the arm.

    Attributes:
        model: Its servos.
        settings: As given.

    Raises:
        PortError: When the port can't be opened or belongs to a running session.
        DeviceError, ConfigError, SafetyError: See `ControlLoop`.
    """

    silent = SILENT
    after_kill = "The servos stop by themselves and hold WITH TORQUE ON."

    def __init__(self, port: str, model_name: str, settings: ArmSettings, orphan: OrphanSettings) -> None:
        self.model, self.settings = servo_map(model_name), settings
        task = {"port": port, "model": model_name, "arm": settings.to_dict()}
        super().__init__(HOSTING, task, len(self.model.joints), settings.max_age_s, orphan)

    @classmethod
    def connect(
        cls,
        port: str,
        model_name: str = WX250S.name,
        settings: ArmSettings | None = None,
        orphan: OrphanSettings | None = None,
    ) -> ProcessWidowX:
        """Open the arm on a serial port and take it over where it is, also after a session that was killed."""
        return cls(port, model_name, settings or ArmSettings(), orphan or OrphanSettings())

    def report(self) -> LoopReport:
        """Periods, missed cycles, durations and bus errors, at most half a second old."""
        return LoopReport(**self.figures()["report"])

    def health(self) -> dict[int, ServoStatus]:
        """How every servo is doing, by id; at most half a second old."""
        servos = [ServoStatus(**{**one, "errors": tuple(one["errors"])}) for one in self.figures()["health"]]
        return {one.servo: one for one in servos}

    def sleep(self, timeout_s: float = 30.0) -> None:
        """Go slowly to the sleep pose; returns when the arm lies in it, with torque on. A command or hold cancels it.

        Raises:
            SafetyError: When it was cancelled, a fault is latched, or it takes too long.
            PortLostError: When the arm's process ends.
        """
        self.ask("sleep", timeout_s + JOB_TIMEOUT_S, timeout_s=timeout_s)
