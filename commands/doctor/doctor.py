"""`regrasp doctor`: is everything there, permitted and well? Each line says what to do when it isn't.

It only looks: nothing moves, no torque is switched, nothing is written to the servos.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from omegaconf import DictConfig

from commands.doctor.computer import check_clock, check_disk, check_priority, check_processor, check_threads
from commands.doctor.graphics import check_gpu, check_rendering
from commands.doctor.judge import check_judge
from commands.doctor.packages import check_packages, check_python
from commands.doctor.report import Check, Finding, as_json, examine, ok, summary
from drivers.cameras.find import Attached
from factory.arm import arm_of
from factory.cameras import virtual_cameras
from factory.device_robot import arm_settings_of
from factory.robot import ROBOTS
from trajectories.durable import replace_file
from trajectories.numbers import between


def run(config: DictConfig) -> None:
    """Print a line for every check; leaves with status 1 when one failed."""
    between("doctor.seconds", config.doctor.seconds, 0.2, 60.0)
    robot = str(config.robot.name)
    findings = []
    for finding in look(config):
        print(finding, flush=True)
        findings.append(finding)
    print(f"\nregrasp doctor robot={robot}: {summary(findings)}")
    if config.doctor.json:
        replace_file(Path(config.doctor.json), json.dumps(as_json(robot, findings), indent=2).encode() + b"\n")
    if any(finding.state == "FAIL" for finding in findings):
        sys.exit(1)


def look(config: DictConfig) -> Iterator[Finding]:
    """Every finding, as soon as it is there.

    Raises:
        ConfigError: For an unknown robot or arm.
    """
    robot = str(config.robot.name)
    ROBOTS[robot]  # says which there are
    arm_of(config)  # an unknown model is said before anything is looked at
    devices = {"twin": None, "robosuite": None, "virtual": _virtual, "widowx": _widowx}
    checks: dict[str, Check] = {
        "python": check_python,
        "packages": check_packages,
        "gpu": check_gpu,
        "rendering": check_rendering,
        "disk": lambda: check_disk(Path(config.run_dir)),
        "processor": check_processor,
        "threads": lambda: check_threads(config),
        "clock": check_clock,
        "judge": lambda: check_judge(config),
    }
    for name, check in checks.items():
        yield from examine(name, check)
    more = devices.get(robot, _outside)
    if more is not None:
        yield from examine("priority", check_priority)
        yield from examine("devices", lambda: more(config))


def _widowx(config: DictConfig) -> Iterator[Finding]:
    """Arm, cameras and teleoperation devices of this computer."""
    from commands.doctor.cameras import check_attached, find_attached
    from commands.doctor.port import choose_port

    port, findings = choose_port(config.robot.port)
    yield from findings
    if port is not None:
        yield from examine("arm", lambda: _arm(config, port))
    attached = find_attached()
    yield from check_attached(attached)
    yield from _cameras_and_teleop(config, attached)


def _outside(config: DictConfig) -> Iterator[Finding]:
    """Cameras and teleoperation devices beside an arm that a package outside brings."""
    from commands.doctor.cameras import find_attached

    yield ok("arm", f"robot={config.robot.name} comes from a package outside, which looks after its own arm")
    yield from _cameras_and_teleop(config, find_attached())


def _cameras_and_teleop(config: DictConfig, attached: Mapping[str, Attached]) -> Iterator[Finding]:
    """The configured cameras among those attached, and teleoperation devices."""
    from commands.doctor.cameras import check_streams, configured_cameras
    from commands.doctor.teleop import check_teleop

    cameras, findings = configured_cameras(config.robot, attached)
    yield from findings
    yield from examine("cameras", lambda: check_streams(cameras, config.doctor.seconds, float(config.robot.max_age)))
    yield from examine("teleop", check_teleop)


def _virtual(config: DictConfig) -> Iterator[Finding]:
    """The virtual arm and its cameras, through the same checks."""
    from commands.doctor.cameras import check_streams
    from factory.virtual_robot import world_settings
    from sim.virtual.client import VirtualWorld

    robot = config.robot
    with ExitStack() as stack:
        if robot.world:
            world = stack.enter_context(VirtualWorld.attach(Path(robot.world)))
        else:
            world = stack.enter_context(VirtualWorld.start(world_settings(config)))
        yield ok("world", f"a virtual arm runs as process {world.pid} in {world.folder}")
        yield from _arm(config, world.port, world.pid)
        cameras = virtual_cameras(config, world.cameras)
        yield from examine("cameras", lambda: check_streams(cameras, config.doctor.seconds, float(robot.max_age)))


def _arm(config: DictConfig, port: str, server: int | None = None) -> Iterator[Finding]:
    """Port and servos; `server` is the process at the other end of a virtual port."""
    from commands.doctor.port import check_port
    from commands.doctor.servos import check_servos
    from drivers.dynamixel.servo_map import servo_map

    robot = config.robot
    for finding in examine("port", lambda: check_port(port, server)):
        yield finding
        if finding.state == "FAIL":
            return
    settings = arm_settings_of(config)
    yield from examine("servos", lambda: check_servos(port, servo_map(str(robot.model)), settings))
