"""Open stations on real drivers, for the arm and for the virtual arm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from factory.calibration import calibration_in_use
from factory.cameras import camera_settings, virtual_camera
from factory.spec import plain, spec_of
from factory.task import instructions_of
from factory.virtual_robot import world_settings
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import Direction, UInt8

if TYPE_CHECKING:
    from drivers.cameras.camera import ProcessCamera
    from drivers.cameras.config import CameraConfig
    from drivers.widowx.process import ProcessArm
    from drivers.widowx.settings import ArmSettings
    from robot.interfaces import Operator
    from robot.rollout.environment import RobotEnv

_LOOK_NS = 1_000_000_000
"""Images for people may be this old."""


class DeviceStation:
    """An arm and cameras in processes of their own (`factory.robot.Station`).

    Args:
        env: Over them.
        arm: The arm.
        cameras: Name -> camera.
        instructions: Direction -> wordings.
        operator: Who helps.
        arrange: Brings the scene into a start state while the arm is at home.
        referee: Knows the truth, or None.
        words: What a person may say to the operator.
    """

    def __init__(
        self,
        env: RobotEnv,
        arm: ProcessArm,
        cameras: Mapping[str, ProcessCamera],
        instructions: Mapping[Direction, Sequence[str]],
        operator: Operator,
        arrange: Callable[[Direction, np.random.Generator], None],
        referee: Callable[[Direction], bool] | None,
        words: Mapping[str, Callable[[str], str]],
    ) -> None:
        self.env, self.operator, self.instructions, self.referee = env, operator, instructions, referee
        self.arm, self.cameras = arm, dict(cameras)
        self._arrange, self._words = arrange, dict(words)

    def prepare(self, direction: Direction, rng: np.random.Generator) -> None:
        """Home, then the scene."""
        self.env.go_home(rng)
        self._arrange(direction, rng)
        self.env.resync()

    def frames(self) -> dict[str, UInt8]:
        """What the cameras see now; without those that are away."""
        images = {}
        for name, camera in self.cameras.items():
            with suppress(RegraspError):
                images[name] = camera.latest(_LOOK_NS).image
        return images

    def figures(self) -> dict[str, Any]:
        """Loop, servos and cameras."""
        return {
            "arm": {"mode": str(self.arm.mode.value), "fault": self.arm.fault, "loop": self.arm.report().as_dict()},
            "servos": [asdict(status) for status in self.arm.health().values()],
            "cameras": {
                name: {**asdict(status), "state": status.state.value}
                for name, status in ((name, camera.status()) for name, camera in self.cameras.items())
            },
        }

    def words(self) -> dict[str, Callable[[str], str]]:
        """Those of the operator."""
        return dict(self._words)


@contextmanager
def open_devices(config: DictConfig, notify: Callable[[str], None], stop: threading.Event) -> Iterator[DeviceStation]:
    """Open the arm and the cameras of `robot=virtual` or `robot=widowx`; closing never drops the arm."""
    with ExitStack() as stack:
        if str(config.robot.name) == "virtual":
            yield _virtual(config, stack, notify)
        else:
            yield _widowx(config, stack, notify, stop)


def _virtual(config: DictConfig, stack: ExitStack, notify: Callable[[str], None]) -> DeviceStation:
    from robot.control.clock import WallClock
    from sim.virtual.client import VirtualWorld
    from sim.virtual.operator import VirtualOperator

    robot = config.robot
    if robot.world:
        world = stack.enter_context(VirtualWorld.attach(Path(robot.world)))
    else:
        notify("Starting the virtual arm.")
        world = stack.enter_context(VirtualWorld.start(world_settings(config)))
    size = int(robot.image_size)
    cameras = {str(name): virtual_camera(str(name), world.cameras[str(name)], size) for name in robot.cameras}
    env, arm, opened = _open(config, world.port, cameras, stack, notify)
    operator = VirtualOperator(world, env, WallClock(), np.random.default_rng([int(config.seed), 17]))
    return DeviceStation(env, arm, opened, instructions_of(config), operator, operator.arrange, world.success, {})


def _widowx(
    config: DictConfig, stack: ExitStack, notify: Callable[[str], None], stop: threading.Event
) -> DeviceStation:
    from robot.rollout.operator import PersonOperator

    robot = config.robot
    _require_drivable(str(robot.model))
    if not robot.port:
        raise ConfigError(
            "robot.port is empty: name the arm's serial port, a part of its name in /dev/serial/by-id "
            "(robot.port=FT4THVDH) or a path. `regrasp doctor robot=widowx` lists the ports."
        )
    size = int(robot.image_size)
    cameras = {str(name): camera_settings(str(name), settings, size) for name, settings in robot.cameras.items()}
    instructions = instructions_of(config)
    operator = PersonOperator(instructions, notify, stop)

    def arrange(direction: Direction, rng: np.random.Generator) -> None:
        operator.help("a new episode", direction)

    env, arm, opened = _open(config, str(robot.port), cameras, stack, notify)
    words = {"ready": operator.ready, "clear": operator.clear}
    return DeviceStation(env, arm, opened, instructions, operator, arrange, None, words)


def _require_drivable(name: str) -> None:
    """Refuse arms for which kinematics, limits and collision model of sessions aren't right.

    Raises:
        ConfigError: For every arm but the WidowX 250 S.
    """
    from drivers.widowx.models import WX250S, model_named

    if model_named(name) is not WX250S:
        raise ConfigError(
            f"robot.model={name}: sessions drive the {WX250S.name} only, because kinematics, workspace and collision "
            "model are those of that arm: another one would go elsewhere. `regrasp doctor` checks the others, and "
            "`drivers.widowx.WidowX` moves the joints of a vx300s."
        )


def _open(
    config: DictConfig, port: str, cameras: Mapping[str, CameraConfig], stack: ExitStack, notify: Callable[[str], None]
) -> tuple[RobotEnv, ProcessArm, dict[str, ProcessCamera]]:
    """Cameras first (nothing moves), then the arm, which goes to its ready pose."""
    from drivers.cameras.camera import ProcessCamera
    from drivers.widowx.process import ProcessArm
    from drivers.widowx.settings import OrphanSettings
    from robot.control.clock import WallClock
    from robot.control.move_to_ready import move_to_ready
    from robot.control.safety_limits import SafetyLimits
    from robot.rollout.environment import RobotEnv
    from trajectories.settings import merged

    robot = config.robot
    limits = merged(SafetyLimits(), plain(robot.limits), "robot.limits")
    opened = {name: stack.enter_context(ProcessCamera(settings)) for name, settings in cameras.items()}
    for camera in opened.values():
        camera.wait()
    orphan = merged(OrphanSettings(), plain(robot.orphan), "robot.orphan")
    arm = ProcessArm.connect(port, str(robot.model), arm_settings_of(config), orphan)
    stack.callback(arm.close)
    clock = WallClock()
    env = RobotEnv(
        arm,
        opened,
        clock,
        spec_of(config),
        limits=limits,
        max_steps=int(config.task.max_steps),
        max_age_s=float(robot.max_age),
    )
    notify("The arm goes to its ready pose.")
    move_to_ready(arm, clock)
    env.resync()
    return env, arm, opened


def arm_settings_of(config: DictConfig) -> ArmSettings:
    """The arm driver's settings, with the joint offsets of the newest calibration.

    Raises:
        ConfigError: Naming what is wrong.
        CalibrationError: When the newest calibration file is damaged.
    """
    from drivers.widowx.settings import ArmSettings
    from trajectories.settings import merged

    settings = merged(ArmSettings(), plain(config.robot.arm), "robot.arm")
    calibration = calibration_in_use(config)
    return settings if calibration is None else replace(settings, joint_offsets=calibration.joint_offsets)
