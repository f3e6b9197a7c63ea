"""`attended`: a robot with people around it, whose words are heard before its torque is on and until it is off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from commands.watch.session_view import SessionView
from factory.robot import Station, open_station
from factory.teleop import open_takeover
from robot.console.server import Console
from robot.console.wire import console_path
from robot.control.faults import Fault, FaultLatch, read_record
from robot.rollout.recovery import RECOVERABLE, Recovery
from trajectories.errors import DeviceError
from trajectories.types import Float32, Observation

FAULTS_FILE = "faults.json"
"""What stands in a run, in its folder: it outlives every process of it."""


@dataclass(frozen=True)
class Attended:
    """A robot and who is around it.

    Attributes:
        station: The robot, awake.
        recovery: Brings it back after faults; hears the word "clear".
        view: Shows the session.
        takeover: The person's device, or None.
    """

    station: Station
    recovery: Recovery
    view: SessionView
    takeover: Callable[[Observation], Float32 | None] | None


@contextmanager
def attended(
    config: DictConfig,
    folder: Path,
    notify: Callable[[str], None],
    stop: threading.Event,
    *,
    max_steps: int,
    faults: FaultLatch | None = None,
    takeover: bool = True,
    on_view: Callable[[SessionView], None] = lambda view: None,
) -> Iterator[Attended]:
    """Open the robot that the settings name, with console, input device and the latch of holds and faults around it.

    Console and device open before anything of the robot and close after it. What stands, from an earlier process or
    since a moment ago, is cleared by a person before the arm is woken.

    Args:
        config: Settings.
        folder: Of the run; gets the console's socket and the record of what stands.
        notify: Gets lines for people.
        stop: Set to end the session.
        max_steps: Time limit of an episode, to be shown.
        faults: The latch, where the caller's device trips it already; None opens that of the folder.
        takeover: Whether the device of the settings takes over and says hold; without, the caller has one open.
        on_view: Gets the view before the robot is opened and a person is waited for.

    Raises:
        ConfigError, DeviceError: When something can't be opened.
        SafetyError: When something is in the arm's way.
        StoppedError: When the session is stopped while it waits for a person.
    """
    folder.mkdir(parents=True, exist_ok=True)
    latch = latch_of(folder) if faults is None else faults
    view = SessionView(str(config.task.name), max_steps, latch, stop)
    with ExitStack() as stack:
        stack.enter_context(Console(console_path(folder), view.state, view.frames, view.words))
        on_view(view)
        device = stack.enter_context(open_takeover(config, latch, notify, stop, view.words)) if takeover else None
        station = stack.enter_context(open_station(config, notify, stop))
        station.env.adopt(latch)
        recovery = Recovery(station.env, station.operator, notify, stop)
        view.attach(station, recovery)
        wake(station, recovery)
        yield Attended(station, recovery, view, device)


def latch_of(folder: Path) -> FaultLatch:
    """The latch of a run, with what earlier processes left standing."""
    return FaultLatch(folder / FAULTS_FILE)


def standing_of(config: DictConfig, folder: Path) -> tuple[Fault, ...]:
    """What stands in a run whose processes are gone: by its own record and, where the arm has a port, by the arm's."""
    from drivers.dynamixel.port import find_port
    from drivers.hosting.record import record_of

    port = config.robot.get("port")
    of_arm: tuple[Fault, ...] = ()
    if port:
        with suppress(DeviceError):  # unplugged: the run knows of that
            of_arm = read_record(record_of(find_port(str(port))))
    return tuple({fault.id: fault for fault in (*read_record(folder / FAULTS_FILE), *of_arm)}.values())


def wake(station: Station, recovery: Recovery) -> None:
    """Bring the arm to its ready pose once nothing stands any more.

    Raises:
        RegraspError: When it can't get there although nothing stands.
        StoppedError: When the session is stopped while it waits for a person.
    """
    while True:
        recovery.stand("The arm is not woken while something stands.")
        try:
            station.wake()
            return
        except RECOVERABLE as error:
            if not station.env.faults:
                raise
            recovery.after(error)
