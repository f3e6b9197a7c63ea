"""`regrasp calibrate`: joint offsets and camera poses by a printed board, into a dated file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import attended
from commands.calibrate_latency import calibrate_latency
from factory.arm import arm_of
from factory.calibration import arm_name
from robot.control.calibration import MOUNTS, Calibration, Intrinsics, Mount, newest_calibration, now
from trajectories.errors import ConfigError, RegraspError

if TYPE_CHECKING:
    from drivers.calibration.board import Board
    from drivers.calibration.refine import Refined
    from drivers.calibration.views import View
    from drivers.dynamixel.bus import DynamixelBus
    from drivers.dynamixel.servo_map import ServoMap
    from robot.rollout.environment import RobotEnv

WHATS = ("camera", "joints", "shadows", "latency")
_PIXELS_PER_MM = 8
_LARGEST_REHEARSED = 0.04
"""rad: joint offsets that the twin gets for rehearsal."""

Ask = Callable[[str], None]


def ask_person(text: str) -> None:
    """Wait for Enter.

    Raises:
        ConfigError: When nobody can press it.
    """
    try:
        input(f"\n{text}\n[Enter] ")
    except EOFError as error:
        raise ConfigError("Calibrating takes a person at a terminal, who says when the arm may move.") from error


def run(config: DictConfig) -> None:
    """Draw the board, rehearse in the twin, or measure."""
    from drivers.calibration.printing import print_board

    settings = config.calibrate
    if settings.what not in WHATS:
        raise ConfigError(f"calibrate.what is {settings.what!r}, expected one of {', '.join(WHATS)}.")
    arm_of(config)  # an unknown model is said before a person is asked for anything
    board = board_of(config)
    if config.board is not None:
        print_board(board, Path(config.board))
        print(
            f"{config.board}: print it at 100 %, measure the bar and the squares, glue it to something flat and stiff."
        )
    elif settings.what == "shadows":
        calibrate_pairs(config, ask_person)
    elif settings.what == "latency":
        calibrate_latency(config, ask_person)
    elif config.robot.name == "twin":
        rehearse(config, board)
    elif config.robot.name == "virtual":
        raise ConfigError(
            "The virtual arm's scene has no board in it: rehearse with robot=twin. calibrate.what=shadows works with "
            "the port of `regrasp virtual-arm`, calibrate.what=latency as it is."
        )
    else:
        measure(config, board, ask_person)


def board_of(config: DictConfig) -> Board:
    """The board of the settings."""
    from drivers.calibration.board import Board

    c = config.calibrate
    return Board(int(c.columns), int(c.rows), float(c.square_mm), float(c.marker_mm))


def mount_of(config: DictConfig) -> Mount:
    """What the camera is fixed to.

    Raises:
        ConfigError: For something else.
    """
    mount = config.calibrate.mount
    if mount not in MOUNTS:
        raise ConfigError(f"calibrate.mount is {mount!r}, expected one of {', '.join(MOUNTS)}.")
    return mount


def rehearse(config: DictConfig, board: Board) -> None:
    """The whole measurement in the twin, with the truth beside it."""
    from drivers.calibration.result import describe_truth
    from sim.scene.calibration_scene import CalibrationScene

    rng = np.random.default_rng(int(config.seed))
    model = arm_of(config)
    offsets = np.zeros(model.size)
    if config.calibrate.what == "joints":
        from drivers.calibration.refine import observable

        seen = list(observable(model.size))
        offsets[seen] = rng.uniform(-_LARGEST_REHEARSED, _LARGEST_REHEARSED, len(seen))
    scene = CalibrationScene(
        board.picture(_PIXELS_PER_MM),
        board.size_m,
        str(config.calibrate.camera),
        offsets.tolist(),
        int(config.robot.image_size),
        model,
    )
    try:
        if scene.mount != mount_of(config):
            raise ConfigError(f"In the twin, camera {scene.camera} needs calibrate.mount={scene.mount}.")
        views = visit(config, scene.env, board, rng)
        found = evaluate(config, views, board)
        print(describe_truth(found, scene.camera_pose, offsets, scene.focal))
    finally:
        scene.close()
    corrections = found.estimate.offsets.tolist() if config.calibrate.what == "joints" else None
    save(config, None, found, len(views), corrections)


def measure(config: DictConfig, board: Board, ask: Ask) -> None:
    """On the arm, with a person beside it."""
    joints = config.calibrate.what == "joints"
    if joints:
        require_person(config)
        port_of(config)
    holds = mount_of(config) == "base"
    previous = newest_calibration(Path(config.calibrate.folder), arm_name(config))
    rng = np.random.default_rng(int(config.seed))
    ask("The arm will rise, open its gripper and go to its home pose. Clear its way; keep a hand at the power switch.")
    with attended(config, Path(config.run_dir), print, threading.Event(), max_steps=0) as around:
        views = attended_visit(config, around.station.env, board, rng, ask, holds)
    found = evaluate(config, views, board)
    if not joints:
        save(config, previous, found, len(views), None)
        return
    from drivers.calibration.servo_offsets import whole_ticks, write_joint_offsets

    corrections = whole_ticks(found.estimate.offsets.tolist())
    ask("The offsets are now written into the servos. The arm must lie in its sleep pose, torque off: support it.")
    with open_bus(config) as (bus, model):
        written = write_joint_offsets(bus, model, corrections, require_person(config))
    print(f"Written, servo -> homing offset in ticks: {written}. Calibrate the other cameras anew.")
    save(config, previous, found, len(views), corrections)


def attended_visit(
    config: DictConfig, env: RobotEnv, board: Board, rng: np.random.Generator, ask: Ask, holds: bool
) -> list[View]:
    """Go home, then move when a person says so; with `holds`, the gripper takes the board and gives it back."""
    from drivers.calibration.capture import grip

    env.go_home(rng)
    if not holds:
        ask("Lay the board flat in front of the arm, where the gripper's camera sees it, and don't move it. Step back.")
        return visit(config, env, board, rng)
    ask(
        "Hold the block on the board's back between the open fingers, the print towards the camera: the gripper closes."
    )
    try:
        grip(env, is_open=False)
        ask("Let go and step back: the arm moves slowly through the poses.")
        views = visit(config, env, board, rng)
        ask("Hold the board: the gripper opens.")
        grip(env, is_open=True)
    except (RegraspError, KeyboardInterrupt) as error:
        reason = str(error) or "Ctrl-C"
        does = "stays where it is, with torque on" if env.faults else "will fold up"
        ask(f"Stopped: {reason}. The arm still holds the board and {does}: take the board from it first.")
        raise
    ask("Take the board away: the arm goes to its sleep pose.")
    return views


def visit(config: DictConfig, env: RobotEnv, board: Board, rng: np.random.Generator) -> list[View]:
    """Go through the poses and look."""
    from drivers.calibration.capture import collect_views
    from drivers.calibration.detection import BoardDetector
    from drivers.calibration.poses import calibration_poses

    settings = config.calibrate
    poses = calibration_poses(env.model, env.limits, int(settings.views), float(settings.lowest), rng)
    seen = 0
    with tqdm(total=len(poses), desc="looking at the board", unit="pose", dynamic_ncols=True) as bar:

        def show(image: Any, view: View | None) -> None:
            nonlocal seen
            seen += view is not None
            bar.set_postfix_str(f"seen in {seen}", refresh=False)
            bar.update()

        return collect_views(
            env,
            str(settings.camera),
            poses,
            BoardDetector(board),
            speed=float(settings.speed),
            gripper_open=mount_of(config) == "gripper",
            on_pose=show,
        )


def evaluate(config: DictConfig, views: list[View], board: Board) -> Refined:
    """Solve and print."""
    from drivers.calibration.result import describe
    from drivers.calibration.solve import solve

    settings, mount = config.calibrate, mount_of(config)
    joints = settings.what == "joints"
    lens = None if settings.intrinsics is None else Intrinsics.of(settings.intrinsics)
    model = arm_of(config)
    found = solve(views, board, size_of(config), mount, joints=joints, intrinsics=lens, model=model)
    print(describe(str(settings.camera), found, mount, len(views), model.joints if joints else ()))
    return found


def save(
    config: DictConfig,
    previous: Calibration | None,
    found: Refined,
    views: int,
    corrections: Sequence[float] | None,
) -> None:
    """Write the dated file; what was not measured now is taken over from `previous`."""
    from drivers.calibration.result import camera_entry, renewed

    settings = config.calibrate
    entry = camera_entry(found, size_of(config), mount_of(config), views)
    date = now()
    before = previous or Calibration.unmeasured(arm_name(config), len(found.estimate.offsets), date)
    calibration = renewed(before, date, str(settings.camera), entry, corrections, found.offset_deviations)
    print(f"Saved in {calibration.save(Path(settings.folder))}")


def calibrate_pairs(config: DictConfig, ask: Ask) -> None:
    """Make both servos of a joint read the same."""
    from drivers.widowx.eeprom import calibrate_shadows

    person = require_person(config)
    ask("The torque must be off, as it is in the sleep pose. Support the arm and keep it still.")
    with open_bus(config) as (bus, model):
        written = calibrate_shadows(bus, model, person)
    if written:
        print(f"Written, servo -> homing offset in ticks: {written}.")
    else:
        print("The servos of every pair agree already; nothing was written.")


@contextmanager
def open_bus(config: DictConfig) -> Iterator[tuple[DynamixelBus, ServoMap]]:
    """The arm's servos, identified, without the driver: nothing is switched on."""
    from drivers.dynamixel.bus import DynamixelBus
    from drivers.dynamixel.servo_map import servo_map
    from drivers.widowx.startup import verify_servos

    model = servo_map(arm_name(config))
    bus = DynamixelBus.on(port_of(config))
    try:
        verify_servos(bus, model)
        yield bus, model
    finally:
        bus.close()


def size_of(config: DictConfig) -> tuple[int, int]:
    """(height, width) of the pictures."""
    size = int(config.robot.image_size)
    return size, size


def port_of(config: DictConfig) -> str:
    """The arm's serial port.

    Raises:
        ConfigError: When none is named.
    """
    port = config.calibrate.port or config.robot.get("port")
    if not port:
        raise ConfigError(
            "The servos can't be written without their port: set calibrate.port (`regrasp doctor` lists them)."
        )
    return str(port)


def require_person(config: DictConfig) -> str:
    """Name of who stands beside the arm.

    Raises:
        ConfigError: When nobody is named.
    """
    person = str(config.calibrate.person or "").strip()
    if not person:
        raise ConfigError("Servos are written only with somebody beside the arm: set calibrate.person=NAME.")
    return person
