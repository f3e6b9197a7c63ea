"""A virtual robot in one process: servos on a port, cameras, the twin's physics in real time, and a control channel.

    python -m sim.virtual.world --task pot_pick_place --folder /tmp/robot --cameras front:uvc wrist:realsense

In the folder appear `arm` (the servos' port), a socket for every camera (`front.cam`) and `control`, which is what a
person beside the arm would do and see: bring the scene into a start state, look whether the task is done, make things
go wrong. The arm begins as a real one: asleep, without torque. Drivers connect as they would to real devices.

It runs until its standard input ends, a client says stop or it is interrupted. `sim.virtual.client` starts and asks it.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from drivers.dynamixel.servo_map import BUS_BAUD, servo_map
from robot.control.priority import SCENE, raise_priority
from sim.rendering import SceneRenderer
from sim.tasks.task import REACH_X, Spread
from sim.twin import make_twin
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.cameras import VirtualCamera
from sim.virtual.control import ControlServer
from sim.virtual.fault_injection import FaultInjector
from sim.virtual.physics_link import MujocoMotors
from sim.virtual.pty import PtyServer
from sim.virtual.view import View
from sim.virtual.world_settings import WorldSettings, parse_arguments
from trajectories.errors import ConfigError, RegraspError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Direction

_SETTLE_NS = 150_000_000
_SWITCH_S = 0.0005
"""How long the thread that draws may keep the servos' thread waiting; Python's own choice is 5 ms."""
_CLEAR_X, _CLEAR_Z = REACH_X[0] - 0.05, 0.10
"""The tip must be behind the objects or above them (m) before somebody reaches into the scene."""
_RATE_FRAMES = 60


class World:
    """The robot and its table. Use it from one thread, which draws; the servos have a thread of their own.

    Args:
        settings: What it consists of.
        folder: Where port and sockets appear; made when it isn't there.

    Attributes:
        settings: As given.
        folder: As given.
        port: What an arm driver opens.
        cameras: By name.

    Raises:
        ConfigError: When another world lives in the folder or its name is too long for sockets.
    """

    def __init__(self, settings: WorldSettings, folder: Path) -> None:
        sys.setswitchinterval(_SWITCH_S)
        self.settings, self.folder = settings, folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._control = ControlServer(folder / "control", self._handlers())
            stack.callback(self._control.close)
            self._twin = make_twin(
                settings.task,
                seed=settings.seed,
                cameras=(),
                randomise=settings.randomise,
                spread=settings.spread,
                arm=settings.arm,
                description=settings.description,
                lab=settings.lab,
            )
            stack.callback(self._twin.close)
            physics = self._twin.scene.physics
            servos = servo_map(settings.arm)
            physics.set_arm(servos.sleep, physics.arm.opening)
            now = time.monotonic_ns()
            self._physics = physics
            self._motors = MujocoMotors(physics, now, servos.linkage)
            baud = BUS_BAUD if settings.wire else None
            bus = VirtualBus(arm_servos(servos), self._motors, now_ns=now, wire_baud=baud)
            self._server = stack.enter_context(PtyServer(bus, folder / "arm", first=True))
            self.port = self._server.path
            renderer = SceneRenderer(physics.model, settings.size)
            stack.callback(renderer.close)
            self.cameras: dict[str, VirtualCamera] = {}
            for number, (name, kind) in enumerate(settings.cameras.items()):
                self.cameras[name] = self._camera(renderer, name, kind, settings.seed + number)
                stack.callback(self.cameras[name].close)
            self._faults = FaultInjector(self._server, self._motors, physics, self.cameras)
            self._close = stack.pop_all().close
        self._period_ns = round(NS_PER_S / settings.fps)
        self._due_ns = time.monotonic_ns()
        self._shown: deque[int] = deque(maxlen=_RATE_FRAMES)
        self._stopped = False

    # -- running ------------------------------------------------------------------------------------
    def serve(self, seconds: float = math.inf) -> bool:
        """Show frames and answer requests for some time; False when it was asked to stop meanwhile."""
        end = time.monotonic_ns() + seconds * NS_PER_S
        while not self._stopped:
            self._show()
            left = min(self._due_ns, end) - time.monotonic_ns()
            self._control.serve(left / NS_PER_S)
            if time.monotonic_ns() >= end:
                break
        return not self._stopped

    def stop_at_end_of(self, fd: int) -> None:
        """Stop once what `fd` reads from has ended: with the process at its other end."""
        self._control.at_end_of(fd, self.stop)

    def stop(self) -> None:
        """Let `serve` return."""
        self._stopped = True

    def close(self) -> None:
        """Unplug everything and remove it from the folder."""
        self._close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for people ---------------------------------------------------------------------------------
    @property
    def fps(self) -> float:
        """Frames per second that were really shown of late."""
        if len(self._shown) < 2:
            return 0.0
        return (len(self._shown) - 1) * NS_PER_S / (self._shown[-1] - self._shown[0])

    def status(self) -> str:
        """One line: who has the port open, torque, tip, cameras."""
        state = self._state()
        torque = sum(state["torque"].values())
        x, y, z = state["tip"]
        users = ", ".join(f"{pid} ({_name_of(pid)})" for pid in state["opened_by"]) or "nobody"
        readers = ", ".join(f"{name} {one['opened_by'] or 'nobody'}" for name, one in state["cameras"].items())
        return (
            f"port open by {users} | torque on {torque}/{len(state['torque'])} | tip {x:.3f} {y:+.3f} {z:.3f} m | "
            f"cameras at {self.fps:.1f} frames/s, open by: {readers or 'there are none'}"
        )

    # -- requests -----------------------------------------------------------------------------------
    def _handlers(self) -> dict[str, Any]:
        return {
            "hello": self._hello,
            "place": self._place,
            "success": self._success,
            "trouble": self._trouble,
            "fault": self._fault,
            "state": self._state,
            "stop": self._stop,
        }

    def _hello(self) -> dict[str, Any]:
        devices = {name: camera.device for name, camera in self.cameras.items()}
        return {"settings": self.settings.to_dict(), "port": self.port, "cameras": devices, "pid": os.getpid()}

    def _place(
        self,
        direction: Direction,
        seed: int | Sequence[int],
        randomise: bool | None = None,
        spread: Spread | None = None,
    ) -> dict[str, Any]:
        """Bring the scene into a start state, as a person would: the arm isn't touched."""
        _check_direction(direction)
        if spread is not None and spread not in get_args(Spread):
            raise ConfigError(f"The spread of starts is one of {get_args(Spread)}, got {spread!r}.")
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"A seed is a whole number or several, not negative; got {seed!r} ({error}).") from None
        with self._motors.lock:
            tip = self._physics.tip_position()
            if tip[0] > _CLEAR_X and tip[2] < _CLEAR_Z:
                raise SafetyError(
                    f"The gripper is among the objects, at ({tip[0]:.3f}, {tip[1]:.3f}, {tip[2]:.3f}) m; the scene can "
                    f"be arranged with its tip {_CLEAR_Z} m above the table. Move the arm home first."
                )
            self._twin.rearrange(direction, rng, randomise, spread)
        settled = time.monotonic_ns() + _SETTLE_NS
        while (now := time.monotonic_ns()) < settled:
            self._show()
            time.sleep(max(min(self._due_ns, settled) - now, 0) / NS_PER_S)
        return {"t_ns": settled}

    def _success(self, direction: Direction) -> dict[str, Any]:
        _check_direction(direction)
        with self._motors.lock:
            return {"success": self._twin.success(direction)}

    def _trouble(self) -> dict[str, Any]:
        with self._motors.lock:
            return {"trouble": self._twin.task.lost(self._twin.scene)}

    def _fault(self, what: str, **values: Any) -> dict[str, Any]:
        return {"happened": self._faults.happen(what, values)}

    def _state(self) -> dict[str, Any]:
        """The truth, for tests and tables."""
        physics, scene = self._physics, self._twin.scene
        with self._motors.lock:
            data = physics.data
            objects = {item.name: np.concatenate(physics.body_pose(item.name)).tolist() for item in scene.spec.objects}
            truth = {
                "joints": data.qpos[: physics.arm.size].tolist(),
                "velocities": data.qvel[: physics.arm.size].tolist(),
                "gripper_width": physics.gripper_width(),
                "tip": physics.tip_position().tolist(),
                "objects": objects,
                "physics_ns": physics.now_ns,
                "t_ns": time.monotonic_ns(),
            }
        with self._server.lock:
            torque = {str(servo): one.torque for servo, one in self._server.bus.servos.items()}
            errors = {str(servo): int(one.hardware_error) for servo, one in self._server.bus.servos.items()}
        cameras = {name: {"opened_by": one.reader_pid} for name, one in self.cameras.items()}
        opened_by = _users_of(self._server.terminal)
        return {
            **truth,
            "torque": torque,
            "errors": errors,
            "cameras": cameras,
            "opened_by": opened_by,
            "fps": self.fps,
        }

    def _stop(self) -> dict[str, Any]:
        self.stop()
        return {}

    # -- inside -------------------------------------------------------------------------------------
    def _camera(self, renderer: SceneRenderer, name: str, kind: str, seed: int) -> VirtualCamera:
        view = View(self._physics, self._motors.lock, renderer, name, self.settings.size)
        device = self.folder / f"{name}.cam"
        device.unlink(missing_ok=True)  # of a world that was killed
        if kind == "realsense":
            return VirtualCamera(device, view.look_deep, view.depth, seed=seed)
        return VirtualCamera(device, view.look, seed=seed)

    def _show(self) -> None:
        """Publish a frame of every camera when it is time."""
        now = time.monotonic_ns()
        if now < self._due_ns:
            return
        for camera in self.cameras.values():
            camera.publish()
        self._shown.append(now)
        self._due_ns += self._period_ns
        if self._due_ns < now:  # frames that are late are left out
            self._due_ns = now + self._period_ns


def _check_direction(direction: object) -> None:
    if direction not in get_args(Direction):
        raise ConfigError(f"A direction is one of {get_args(Direction)}, got {direction!r}.")


def _users_of(terminal: str) -> list[int]:
    """Other processes of this user that have a terminal open."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if int(entry.name) != os.getpid() and any(_leads_to(fd, terminal) for fd in (entry / "fd").iterdir()):
                found.append(int(entry.name))
    return sorted(found)


def _leads_to(fd: Path, terminal: str) -> bool:
    try:
        return os.readlink(fd) == terminal
    except OSError:  # closed meanwhile
        return False


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "gone"


def main() -> None:
    """Serve until standard input ends."""
    try:
        settings, folder = parse_arguments()
        raise_priority(SCENE)  # real servos and cameras don't wait for this computer
        with World(settings, folder) as world, contextlib.suppress(KeyboardInterrupt):
            world.stop_at_end_of(sys.stdin.fileno())
            print("ready", flush=True)
            world.serve()
    except RegraspError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
