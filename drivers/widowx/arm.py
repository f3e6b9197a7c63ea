"""`WidowX`: the arm behind `robot.interfaces.Arm`, with its control loop in a thread of its own.

arm = WidowX.connect("FT4THVDH")            # a part of the name in /dev/serial/by-id, or a path
arm.send(Command(joints, width, t_ns))      # returns at once; the loop interpolates at 100 Hz
arm.read()                                  # newest joint state, refused when too old
arm.close()                                 # to the sleep pose, then torque off; never drops the arm
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.servo_map import WX250S, ServoMap
from drivers.errors import PortLostError
from drivers.hosting.checks import JOB_TIMEOUT_S, Mode, finite_joints, fresh
from drivers.widowx.loop import ControlLoop
from drivers.widowx.reading import ServoStatus
from drivers.widowx.settings import ArmSettings
from drivers.widowx.statistics import LoopReport, LoopStatistics
from robot.control.clock import WallClock
from robot.control.faults import Fault, FaultLatch, reason_of
from robot.interfaces import ArmState, Clock
from trajectories.errors import DeviceError, RegraspError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

SILENT = "Not all servos answer in time: check the arm's cables and power."
_log = logging.getLogger(__name__)


class _Job:
    """Something that the loop's thread does for another thread."""

    def __init__(self, work: Callable[[], str | None]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: str | None = None
        self.error: RegraspError | None = None

    def run(self) -> None:
        """Do it and keep what came of it."""
        try:
            self.result = self.work()
        except RegraspError as error:
            self.error = error
        finally:
            self.done.set()


class WidowX:
    """An arm with a parallel gripper on Dynamixel servos. All methods may be called from any thread.

    Args:
        bus: Open bus; from here on it belongs to the arm.
        model: Which arm.
        settings: See `ArmSettings`.
        clock: For ages and waiting; the bus must run on the same one.
        threaded: Whether the loop runs by itself. Without, whoever moves the clock calls `cycle` once a period, which
            makes tests deterministic.
        latch: What stands already; None takes an empty one.

    Attributes:
        farewell: What `close` left behind, for a person; empty before.

    Raises:
        DeviceError, ConfigError, SafetyError: When the arm isn't as expected; see `ControlLoop`.
    """

    def __init__(
        self,
        bus: DynamixelBus,
        model: ServoMap = WX250S,
        settings: ArmSettings | None = None,
        clock: Clock | None = None,
        threaded: bool = True,
        latch: FaultLatch | None = None,
    ) -> None:
        self.settings = settings or ArmSettings()
        self.farewell = ""
        self._clock: Clock = clock or WallClock()
        self._loop = ControlLoop(bus, model, self.settings, latch)
        self._period_ns = round(self.settings.period_s * NS_PER_S)
        self._lock = threading.Lock()
        self._command: Command | None = None
        self._hold = False
        self._jobs: deque[_Job] = deque()
        self._beat_ns = bus.clock()
        self._statistics = LoopStatistics()
        self._crash: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="widowx", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    @classmethod
    def connect(cls, port: str, model: ServoMap = WX250S, settings: ArmSettings | None = None) -> WidowX:
        """Open the arm on a serial port and take it over where it is.

        Args:
            port: A path, or a part of a name in /dev/serial/by-id (which survives plugging in again).
            model: Which arm.
            settings: See `ArmSettings`.

        Raises:
            PortError: When the port can't be opened.
            DeviceError, ConfigError, SafetyError: See `ControlLoop`.
        """
        settings = settings or ArmSettings()
        bus = DynamixelBus.on(port, latency_s=settings.latency_s)
        try:
            return cls(bus, model, settings)
        except BaseException:
            bus.close()
            raise

    # -- robot.interfaces.Arm -----------------------------------------------------------------------
    def read(self) -> ArmState:
        """The newest joint state.

        Raises:
            StaleDataError: When it is older than `max_age_s`, with the reason if one is known.
        """
        now_ns, max_age_s = self._clock.now_ns(), self.settings.max_age_s
        return fresh(self._loop.state, now_ns, self._beat_ns, max_age_s, self.fault, SILENT)

    def send(self, command: Command) -> None:
        """Set the newest goal; joints (N,) rad beyond the limits are moved to them. Returns at once.

        Raises:
            SafetyError: When it isn't finite, or something stands.
        """
        finite_joints(command, len(self.model.joints))
        self._require_alive()
        with self._lock:
            self._loop.require_free()
            self._command, self._hold = command, False

    def hold(self) -> None:
        """Stop where the arm is, gripper included, until the next command; see `ControlLoop.hold`."""
        with self._lock:
            self._command, self._hold = None, True

    def close(self) -> None:
        """Release the port without dropping the arm; `farewell` says what it does now. May be called twice."""
        if self.farewell:
            return
        try:
            if self.settings.on_close == "sleep" and self._crash is None:
                self.sleep()
        except (RegraspError, TimeoutError) as error:
            _log.warning("The arm doesn't go to sleep: %s", error)
        self.leave()

    def leave(self) -> None:
        """Release the port with the arm as it is; torque goes off only where it already lies in its sleep pose."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        off = False
        try:
            off, self.farewell = self._loop.release()
        except DeviceError as error:
            self.farewell = f"The servos could not be told anything any more ({error}). They HOLD WITH TORQUE ON."
        self._loop.bus.close()
        _log.log(logging.INFO if off else logging.WARNING, "Arm closed. %s", self.farewell)

    # -- beyond the interface -----------------------------------------------------------------------
    @property
    def mode(self) -> Mode:
        """What the loop does."""
        return self._loop.mode

    @property
    def fault(self) -> str | None:
        """Why the arm takes no commands, or None."""
        return reason_of(self.faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands, oldest first."""
        return self._loop.latch.standing

    def trip(self, fault: Fault) -> None:
        """Let this instance stand: the loop stops whatever moves with its next cycle."""
        self._loop.latch.add((fault,))

    @property
    def model(self) -> ServoMap:
        """Which arm."""
        return self._loop.model

    def report(self) -> LoopReport:
        """Periods, missed cycles, durations and bus errors so far."""
        self._statistics.incomplete = self._loop.incomplete
        return self._statistics.report(self._loop.bus.statistics)

    def health(self) -> dict[int, ServoStatus]:
        """How every servo is doing, by id."""
        return self._loop.health()

    def sleep(self, timeout_s: float = 30.0) -> None:
        """Go slowly to the sleep pose; returns when the arm lies in it, with torque on. A command or hold cancels it.

        Raises:
            SafetyError: When it was cancelled, a hold or fault stands, or it takes too long.
        """
        with self._lock:  # what was said before counts no more
            self._command, self._hold = None, False
        self._do(self._loop.start_sleeping)
        give_up = self._clock.now_ns() + timeout_s * NS_PER_S
        while not self._loop.sleeping:
            if self._loop.mode not in (Mode.SLEEP, Mode.REST) or self._clock.now_ns() > give_up:
                raise SafetyError(f"The arm didn't reach its sleep pose. {self.fault or 'Something else moves it.'}")
            self._wait()

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """End these instances of `faults`: a person who looked at the arm, and supports it, takes responsibility.

        Tripped servos are restarted, all are taken over where they are; the next command moves the arm, unless
        something else stands.

        Raises:
            SafetyError: Without a name, for what doesn't stand, or when the cause isn't gone.
            DeviceError: When servos don't answer.
        """
        self._do(lambda: self._loop.recover(person, ids))

    def cycle(self) -> None:
        """One control cycle; only for arms without a thread."""
        start = self._loop.bus.clock()
        with self._lock:
            command, self._command = self._command, None
            hold, self._hold = self._hold, False
        if hold:
            self._loop.hold()
        if command is not None:
            with contextlib.suppress(SafetyError):  # something came to stand since it was sent
                self._loop.follow(command)
        while self._jobs:
            self._jobs.popleft().run()
        self._loop.cycle()
        self._beat_ns = self._loop.bus.clock()
        self._statistics.count(start, self._beat_ns)

    # -- inside -------------------------------------------------------------------------------------
    def _run(self) -> None:
        due = planned = self._clock.now_ns()
        try:
            while not self._stop.is_set():
                self._statistics.start(self._clock.now_ns() - planned)
                self.cycle()
                due += self._period_ns
                planned = due
                late = self._clock.now_ns() - due
                if late > 0:
                    missed = -(-late // self._period_ns)
                    self._statistics.missed += missed
                    due += missed * self._period_ns
                self._clock.sleep_until_ns(due)
        except BaseException as error:
            self._crash = error
            text = f"The control loop ended: {error!r}. The servos hold by themselves; close and connect again."
            self._loop.latch.trip(text, key="crash")
            _log.exception("The arm's control loop ended; the servos' watchdog makes them hold.")

    def _do(self, work: Callable[[], str | None]) -> None:
        """Let the loop's thread do something and wait for it."""
        job = _Job(work)
        self._require_alive()
        self._jobs.append(job)
        give_up = self._clock.now_ns() + JOB_TIMEOUT_S * NS_PER_S
        while not job.done.is_set():
            self._require_alive()
            if self._clock.now_ns() > give_up:
                raise DeviceError(f"The arm's control loop didn't react for {JOB_TIMEOUT_S:.0f} s; close and connect.")
            self._wait()
        if job.error is not None:
            raise job.error

    def _wait(self) -> None:
        self._require_alive()
        self._clock.sleep_until_ns(self._clock.now_ns() + self._period_ns)

    def _require_alive(self) -> None:
        if self._stop.is_set():
            raise PortLostError("The arm is closed; connect again.")
        if self._crash is not None:
            raise PortLostError(self.fault or repr(self._crash))
