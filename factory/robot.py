"""Open the robot that the settings name, with everything that a session needs.

robot=twin     the simulated world, on simulated time; everything happens as fast as the computer allows
robot=robosuite  the same arm in robosuite's scenes and physics, likewise
robot=virtual  the same world in a process of its own in real time, behind virtual servos and cameras: real drivers
robot=widowx   an arm of Interbotix' X series: WidowX 250 S, WidowX 250, WidowX 200, ViperX 300 S

Packages outside bring others by entry points of the group `regrasp.robots`; docs/extending.md shows how.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from omegaconf import DictConfig

from trajectories.registry import Registry
from trajectories.types import Direction, UInt8

if TYPE_CHECKING:
    from robot.interfaces import Operator
    from robot.rollout.environment import RobotEnv
    from sim.twin import Twin


class Station(Protocol):
    """A robot, its scene and who attends to both.

    Attributes:
        env: The robot.
        operator: Who is asked for help.
        instructions: Direction -> wordings of the task.
        referee: Whether the task is done in truth, where there is somebody to ask; for evaluations only.
    """

    env: RobotEnv
    operator: Operator
    instructions: Mapping[Direction, Sequence[str]]
    referee: Callable[[Direction], bool] | None

    def wake(self) -> None:
        """Bring the arm to its ready pose; before, it only holds.

        Raises:
            SafetyError: While something stands, or when something is in the arm's way.
        """
        ...

    def prepare(self, direction: Direction, rng: np.random.Generator) -> None:
        """Arm at home, scene in a start state of `direction`; on the arm a person is asked for it."""
        ...

    def frames(self) -> dict[str, UInt8]:
        """Newest images, uint8 (H, W, 3), for people to look at; from any thread."""
        ...

    def figures(self) -> dict[str, Any]:
        """Plain JSON types: how loop, servos and cameras are doing; empty in the twin. From any thread."""
        ...

    def words(self) -> dict[str, Callable[[str], str]]:
        """What a person may say to it besides the session's own words."""
        ...


class TwinStation:
    """The twin (`Station`)."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.env = twin.env
        self.operator: Operator = twin.operator
        self.instructions: Mapping[Direction, Sequence[str]] = twin.task.instructions
        self.referee: Callable[[Direction], bool] | None = twin.success

    def wake(self) -> None:
        """Nothing: the twin is awake."""

    def prepare(self, direction: Direction, rng: np.random.Generator) -> None:
        """A new scene."""
        self.twin.reset(direction, rng)

    def frames(self) -> dict[str, UInt8]:
        """Nothing: only the session's thread may render."""
        return {}

    def figures(self) -> dict[str, Any]:
        """Nothing to report."""
        return {}

    def words(self) -> dict[str, Callable[[str], str]]:
        """None: the twin needs nobody."""
        return {}


OpenRobot = Callable[[DictConfig, Callable[[str], None], threading.Event], AbstractContextManager[Station]]
"""Opens a robot: settings, where lines for people go, and what is set to end the session."""


@contextmanager
def _open_twin(config: DictConfig, notify: Callable[[str], None], stop: threading.Event) -> Iterator[Station]:
    from factory.twin import TwinSettings, cached_twin

    yield TwinStation(cached_twin(TwinSettings.from_config(config)))


def _open_virtual(
    config: DictConfig, notify: Callable[[str], None], stop: threading.Event
) -> AbstractContextManager[Station]:
    from factory.device_robot import open_virtual

    return open_virtual(config, notify, stop)


def _open_widowx(
    config: DictConfig, notify: Callable[[str], None], stop: threading.Event
) -> AbstractContextManager[Station]:
    from factory.device_robot import open_widowx

    return open_widowx(config, notify, stop)


ROBOTS: Registry[OpenRobot] = Registry(
    "regrasp.robots",
    "robot",
    {"twin": _open_twin, "robosuite": _open_twin, "virtual": _open_virtual, "widowx": _open_widowx},
)
"""Name -> how a robot of that kind is opened."""


def open_station(
    config: DictConfig, notify: Callable[[str], None] = print, stop: threading.Event | None = None
) -> AbstractContextManager[Station]:
    """The robot that the settings name, open until the context ends.

    Args:
        config: Settings.
        notify: Gets lines for people.
        stop: Set to end the session; whoever waits for a person gives up then.

    Raises:
        ConfigError: For an unknown robot or a wrong setting.
        DeviceError, SafetyError: When a device is missing or the arm can't be taken over.
    """
    return ROBOTS[str(config.robot.name)](config, notify, stop or threading.Event())
