"""Open stations on real devices: the arm, the virtual arm, and what packages outside bring.

A package's own robot opens its arm, puts it into a `session_environment`, and gives a `DeviceStation`. Opening moves
nothing: `Station.wake` takes the arm to its ready pose, when console and device hear what people say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from factory.arm import arm_of
from factory.calibration import calibration_in_use
from factory.cameras import cameras_of, virtual_cameras
from factory.spec import capture_sizes, plain, spec_of
from factory.task import instructions_of, keeps_tool
from factory.virtual_robot import world_settings
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import Direction, RobotSpec, UInt8
from trajectories.views import camera_of

if TYPE_CHECKING:
    from drivers.cameras.camera import ProcessCamera
    from drivers.cameras.config import CameraConfig
    from drivers.widowx.process import ProcessWidowX
    from drivers.widowx.settings import ArmSettings
    from robot.arms.model import ArmModel
    from robot.control.safety_limits import SafetyLimits
    from robot.interfaces import Arm, Camera, LatchingArm, Operator
    from robot.rollout.environment import RobotEnv

_LOOK_NS = 1_000_000_000
"""Images for people may be this old."""


class DeviceStation:
    """An arm and cameras as devices (`factory.robot.Station`).

    Args:
        env: Over them.
        arm: The arm.
        cameras: Name -> camera.
        instructions: Direction -> wordings.
        operator: Who helps.
        arrange: Brings the scene into a start state while the arm is at home.
        referee: Knows the truth, or None.
        words: What a person may say to the operator.
        arm_figures: How the arm is doing, plain JSON types; may be called from any thread.
        notify: Gets lines for people.
    """

    def __init__(
        self,
        env: RobotEnv,
        arm: Arm | LatchingArm,
        cameras: Mapping[str, ProcessCamera],
        instructions: Mapping[Direction, Sequence[str]],
        operator: Operator,
        arrange: Callable[[Direction, np.random.Generator], None],
        referee: Callable[[Direction], bool] | None = None,
        words: Mapping[str, Callable[[str], str]] | None = None,
        arm_figures: Callable[[], dict[str, Any]] = dict,
        notify: Callable[[str], None] = print,
    ) -> None:
        self._notify = notify
        self.env, self.operator, self.instructions, self.referee = env, operator, instructions, referee
        self.arm, self.cameras = arm, dict(cameras)
        self._arrange, self._words, self._arm_figures = arrange, dict(words or {}), arm_figures

    def wake(self) -> None:
        """Slowly to the ready pose.

        Raises:
            SafetyError: While something stands, or when something is in the arm's way.
        """
        self._notify("The arm goes to its ready pose.")
        self.env.wake()

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
            **self._arm_figures(),
            "cameras": {
                name: {**asdict(status), "state": status.state.value}
                for name, status in ((name, camera.status()) for name, camera in self.cameras.items())
            },
        }

    def words(self) -> dict[str, Callable[[str], str]]:
        """Those of the operator."""
        return dict(self._words)


@contextmanager
def open_virtual(config: DictConfig, notify: Callable[[str], None], stop: threading.Event) -> Iterator[DeviceStation]:
    """Open `robot=virtual` until the context ends."""
    from robot.control.clock import WallClock
    from sim.virtual.client import VirtualWorld
    from sim.virtual.operator import VirtualOperator

    robot = config.robot
    with ExitStack() as stack:
        if robot.world:
            world = stack.enter_context(VirtualWorld.attach(Path(robot.world)))
        else:
            notify("Starting the virtual arm.")
            world = stack.enter_context(VirtualWorld.start(world_settings(config)))
        if world.settings.arm != arm_of(config).name:
            raise ConfigError(
                f"The virtual arm in {robot.world} is a {world.settings.arm}, the settings say robot.model="
                f"{arm_of(config).name}. Give robot.model={world.settings.arm}, or start another one."
            )
        cameras = virtual_cameras(config, world.cameras)
        env, arm, opened = _open(config, world.port, cameras, stack)
        operator = VirtualOperator(world, env, WallClock(), np.random.default_rng([int(config.seed), 17]))
        yield DeviceStation(
            env,
            arm,
            opened,
            instructions_of(config),
            operator,
            operator.arrange,
            world.success,
            arm_figures=_figures_of(arm),
            notify=notify,
        )


@contextmanager
def open_widowx(config: DictConfig, notify: Callable[[str], None], stop: threading.Event) -> Iterator[DeviceStation]:
    """Open `robot=widowx`, an arm of Interbotix' X series, until the context ends; closing never drops it."""
    from drivers.dynamixel.servo_map import servo_map

    robot = config.robot
    servo_map(arm_of(config).name)
    if not robot.port:
        raise ConfigError(
            "robot.port is empty: name the arm's serial port, a part of its name in /dev/serial/by-id "
            "(robot.port=FT4THVDH) or a path. `regrasp doctor robot=widowx` lists the ports."
        )
    cameras = cameras_of(config)
    instructions = instructions_of(config)
    with ExitStack() as stack:
        env, arm, opened = _open(config, str(robot.port), cameras, stack)
        yield attended_station(env, arm, opened, instructions, notify, stop, _figures_of(arm))


def attended_station(
    env: RobotEnv,
    arm: Arm | LatchingArm,
    cameras: Mapping[str, ProcessCamera],
    instructions: Mapping[Direction, Sequence[str]],
    notify: Callable[[str], None],
    stop: threading.Event,
    arm_figures: Callable[[], dict[str, Any]] = dict,
) -> DeviceStation:
    """The station of an arm with a person beside it, who arranges the scene."""
    from robot.rollout.operator import PersonOperator

    def reconnects() -> int:
        return sum(camera.status().reconnects for camera in cameras.values())

    operator = PersonOperator(instructions, notify, stop, reconnects)

    def arrange(direction: Direction, rng: np.random.Generator) -> None:
        operator.help("a new episode", direction)

    words = {"ready": operator.ready}
    return DeviceStation(env, arm, cameras, instructions, operator, arrange, None, words, arm_figures, notify)


def _open(
    config: DictConfig, port: str, cameras: Mapping[str, CameraConfig], stack: ExitStack
) -> tuple[RobotEnv, ProcessWidowX, dict[str, ProcessCamera]]:
    """Cameras first, then the arm, which holds where it is."""
    from drivers.hosting.orphan import OrphanSettings
    from drivers.widowx.process import ProcessWidowX
    from trajectories.settings import merged

    opened = open_cameras(cameras, stack)
    model, settings = arm_of(config), arm_settings_of(config)
    orphan = merged(OrphanSettings(), plain(config.robot.orphan), "robot.orphan")
    limits_of(config)  # refused before torque is on
    arm = ProcessWidowX.connect(port, model.name, settings, orphan)
    stack.callback(arm.close)
    return session_environment(config, model, arm, opened), arm, opened


def open_cameras(cameras: Mapping[str, CameraConfig], stack: ExitStack) -> dict[str, ProcessCamera]:
    """Open cameras, each in a process of its own, and wait for their first frames; the stack closes them.

    Raises:
        DeviceError: When one is missing or doesn't deliver.
    """
    from drivers.cameras.camera import ProcessCamera

    opened = {name: stack.enter_context(ProcessCamera(settings)) for name, settings in cameras.items()}
    for camera in opened.values():
        camera.wait()
    return opened


def limits_of(config: DictConfig) -> SafetyLimits:
    """The safety limits of the arm's model, with what `robot.limits` changes.

    Raises:
        ConfigError: When a limit makes no sense or is wider than the arm can go.
    """
    from trajectories.settings import merged

    model = arm_of(config)
    limits = merged(model.limits(), plain(config.robot.get("limits")), "robot.limits")
    model.require_fits(limits)
    return limits


def session_environment(
    config: DictConfig,
    model: ArmModel,
    arm: Arm | LatchingArm,
    cameras: Mapping[str, ProcessCamera],
) -> RobotEnv:
    """The environment over an open arm and open cameras; nothing moves.

    Raises:
        ConfigError: When the settings don't fit the arm.
    """
    from robot.control.clock import WallClock
    from robot.rollout.environment import RobotEnv

    spec = spec_of(config)
    return RobotEnv(
        arm,
        _views(config, spec, cameras),
        WallClock(),
        spec,
        model=model,
        limits=limits_of(config),
        home=replace(model.home, opens=not keeps_tool(config)),
        max_steps=int(config.task.max_steps),
        max_age_s=float(config.robot.max_age),
    )


def _views(config: DictConfig, spec: RobotSpec, cameras: Mapping[str, ProcessCamera]) -> dict[str, Camera]:
    """The specification's cameras: those that are open, shrunk where judge or policy sees less than is captured."""
    from drivers.cameras.view import CameraView

    captured = capture_sizes(config)
    found: dict[str, Camera] = {}
    for name, size in spec.cameras.items():
        camera = cameras[camera_of(name)]
        found[name] = camera if size[0] == captured[camera_of(name)] else CameraView(camera, size)
    return found


def _figures_of(arm: ProcessWidowX) -> Callable[[], dict[str, Any]]:
    def figures() -> dict[str, Any]:
        return {
            "arm": {"mode": str(arm.mode.value), "fault": arm.fault, "loop": arm.report().as_dict()},
            "servos": [asdict(status) for status in arm.health().values()],
        }

    return figures


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
    if calibration is None:
        return settings
    calibration.require_fits(arm_of(config))
    return replace(settings, joint_offsets=calibration.joint_offsets)
