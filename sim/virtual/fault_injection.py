"""What can happen to an arm and its cameras, by name, for whoever tests how the robot copes.

overload(servo), reboot(servo), silent(servo): it trips, restarts, hears and says nothing
overheating(servo, celsius), brown-out(volts, servo): without `servo` the whole arm's supply
pull(newtons): something heavy hangs on the gripper
block(servo): something keeps its joint from turning
line(damaged, dropped, late, late_s, ...): replies suffer, see `BusFaults`
unplug(), plug(), unplug(camera), plug(camera): the servos' port, or a camera
freeze(camera), slow(camera), hang(camera), kill(camera): the last one kills the process that has it open
heal(): everything above is over; servos that tripped stay so until they are restarted
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from drivers.dynamixel.messages import HardwareError
from sim.physics import Physics
from sim.virtual.bus import NOMINAL_SUPPLY_V
from sim.virtual.bus_faults import BusFaults
from sim.virtual.cameras import Fault, VirtualCamera
from sim.virtual.control import call_by_name
from sim.virtual.physics_link import MujocoMotors
from sim.virtual.protection import Protection
from sim.virtual.pty import PtyServer
from sim.virtual.servo import VirtualServo
from trajectories.errors import ConfigError
from trajectories.numbers import between

LINE_FAULTS = tuple(one.name for one in fields(BusFaults) if one.name not in ("dead", "seed", "_rng"))
_GRIPPER = "gripper_link"
_BLOCKED_NM_S = 1e4
"""Per rad: a joint so tough creeps by less than a tick a second."""


class FaultInjector:
    """Makes them happen.

    Args:
        server: The servos and their port.
        motors: What they turn.
        physics: The world around it.
        cameras: By name.
    """

    def __init__(
        self, server: PtyServer, motors: MujocoMotors, physics: Physics, cameras: Mapping[str, VirtualCamera]
    ) -> None:
        self._server, self._motors, self._physics, self._cameras = server, motors, physics, cameras
        self._gripper = physics.body_id(_GRIPPER)
        self._damping = physics.model.dof_damping.copy()
        self._names: dict[str, Callable[..., str]] = {
            "overload": self._overload,
            "overheating": self._overheat,
            "reboot": self._reboot,
            "silent": self._silence,
            "brown-out": self._brown_out,
            "pull": self._pull,
            "block": self._block,
            "line": self._disturb,
            "unplug": self._unplug,
            "plug": self._plug,
            "freeze": partial(self._spoil, Fault.FREEZE),
            "slow": partial(self._spoil, Fault.SLOW),
            "hang": partial(self._spoil, Fault.HANG),
            "kill": self._kill,
            "heal": self._heal,
        }

    def happen(self, what: str, values: Mapping[str, Any]) -> str:
        """Make something happen; names and values are those at the top of this file.

        Returns:
            What happened, in words.

        Raises:
            ConfigError: When there is no such fault, servo, camera or value.
        """
        return call_by_name(self._names, what, values)

    # -- servos -------------------------------------------------------------------------------------
    def _overload(self, servo: int) -> str:
        with self._server.lock:
            self._servo(servo).trip(HardwareError.OVERLOAD)
        return f"servo {servo} tripped for overload"

    def _overheat(self, servo: int, celsius: float = 90.0) -> str:
        between("celsius", celsius, 0, 150)
        with self._server.lock:
            self._servo(servo).protection.temperature_c = float(celsius)
        return f"servo {servo} is {celsius:g} C hot"

    def _reboot(self, servo: int) -> str:
        with self._server.lock:
            self._servo(servo).reboot(time.monotonic_ns())
        return f"servo {servo} restarted"

    def _silence(self, servo: int) -> str:
        self._servo(servo)
        with self._server.lock:
            self._server.bus.faults.dead.add(servo)
        return f"servo {servo} doesn't answer"

    def _brown_out(self, volts: float = 5.0, servo: int | None = None) -> str:
        between("volts", volts, 0, 30)
        bus = self._server.bus
        with self._server.lock:
            if servo is None:
                bus.supply_v = float(volts)
                return f"all servos get {volts:g} V"
            self._servo(servo)
            bus.sags_v[servo] = float(volts)
            return f"servo {servo} gets {volts:g} V"

    def _pull(self, newtons: float) -> str:
        between("newtons", newtons, -100, 100)
        with self._motors.lock:
            self._physics.data.xfrc_applied[self._gripper, 2] = -float(newtons)
        return f"{newtons:g} N pull the gripper down"

    def _block(self, servo: int) -> str:
        joint = self._servo(servo).joint
        if joint == self._physics.arm.size:
            raise ConfigError(f"'block' is for the arm's joints; servo {servo} is the gripper's.")
        with self._motors.lock:
            self._physics.model.dof_damping[joint] = _BLOCKED_NM_S
            self._physics.changed()
        return f"the joint of servo {servo} is blocked"

    # -- line and plugs -----------------------------------------------------------------------------
    def _disturb(self, **values: float) -> str:
        if not values or set(values) - set(LINE_FAULTS):
            raise ConfigError(f"'line' needs some of {', '.join(LINE_FAULTS)}; got {sorted(values)}.")
        for name, value in values.items():
            between(name, value, 0, 1)
        with self._server.lock:
            for name, value in values.items():
                setattr(self._server.bus.faults, name, float(value))
        return "line: " + ", ".join(f"{name} {value:g}" for name, value in values.items())

    def _unplug(self, camera: str | None = None) -> str:
        self._plugged(camera).unplug()
        return f"{'the port' if camera is None else f'camera {camera}'} is unplugged"

    def _plug(self, camera: str | None = None) -> str:
        self._plugged(camera).plug()
        return f"{'the port' if camera is None else f'camera {camera}'} is plugged in"

    # -- cameras ------------------------------------------------------------------------------------
    def _spoil(self, fault: Fault, camera: str) -> str:
        self._camera(camera).fault = fault
        return f"camera {camera}: {fault.name.lower()}"

    def _kill(self, camera: str) -> str:
        pid = self._camera(camera).kill_reader()
        return f"nobody has camera {camera} open" if pid is None else f"process {pid} of camera {camera} is killed"

    # -- the end ------------------------------------------------------------------------------------
    def _heal(self) -> str:
        bus = self._server.bus
        with self._server.lock:
            bus.faults, bus.supply_v = BusFaults(), NOMINAL_SUPPLY_V
            bus.sags_v.clear()
            for one in bus.servos.values():
                one.protection.temperature_c = Protection.temperature_c
        self._pull(0.0)
        with self._motors.lock:
            self._physics.model.dof_damping[:] = self._damping
            self._physics.changed()
        self._server.plug()
        for camera in self._cameras.values():
            camera.fault = Fault.NONE
            camera.plug()
        return "all is well"

    # -- names --------------------------------------------------------------------------------------
    def _servo(self, servo: int) -> VirtualServo:
        between("servo", servo, 0, 252)
        if servo not in self._server.bus.servos:
            raise ConfigError(f"There is no servo {servo}; there are {sorted(self._server.bus.servos)}.")
        return self._server.bus.servos[servo]

    def _camera(self, camera: str) -> VirtualCamera:
        if str(camera) not in self._cameras:
            raise ConfigError(f"There is no camera {camera!r}; there are {sorted(self._cameras)}.")
        return self._cameras[camera]

    def _plugged(self, camera: str | None) -> PtyServer | VirtualCamera:
        return self._server if camera is None else self._camera(camera)
