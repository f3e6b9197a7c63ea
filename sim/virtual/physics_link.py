"""Virtual servos that turn the joints of the MuJoCo twin in real time."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from drivers.dynamixel.servo_map import WIDOWX_LINKAGE, Linkage
from sim.physics import Physics
from sim.virtual.motors import Drive, Motion
from trajectories.numbers import NS_PER_S
from trajectories.types import Float64

_LARGEST_CATCH_UP_NS = 100_000_000
_DEEPEST_SQUEEZE_M = 0.02
GRIPPER_STRENGTH = 350 / 885
"""Output at which the gripper squeezes with the force of the twin's actuator; Interbotix' largest."""


class MujocoMotors:
    """The twin's actuators behind the servos (`sim.virtual.motors.Motors`).

    A joint is driven as strongly as its powered servos allow together; without any it is free. Where two servos of a
    joint aim at different angles, they work against each other and their loads show it. Time runs with the clock of
    the bus; after a pause of more than 0.1 s the physics doesn't catch up.

    Args:
        physics: The twin's world. Somebody who looks at it from another thread must hold `lock`.
        now_ns: The bus' clock now.
        linkage: Between the gripper's servo and its fingers.

    Attributes:
        lock: Held while the physics is stepped.
    """

    def __init__(self, physics: Physics, now_ns: int, linkage: Linkage = WIDOWX_LINKAGE) -> None:
        self.lock = threading.RLock()
        self._physics = physics
        self._linkage = linkage
        self._gripper = physics.arm.size
        model = physics.model
        self._gains = model.actuator_gainprm[: self._gripper + 1, 0].copy()
        self._forces = model.actuator_forcerange[: self._gripper + 1].copy()
        # A goal beyond "closed" squeezes; the twin's own arm never asks for less than 0.
        model.actuator_ctrlrange[self._gripper, 0] = -_DEEPEST_SQUEEZE_M
        self._limits = model.actuator_ctrlrange[: self._gripper + 1].copy()
        self._strengths = np.full(self._gripper + 1, np.nan)
        self._last_ns = now_ns

    def advance(self, now_ns: int, drives: Mapping[int, Drive]) -> dict[int, Motion]:
        """Step the physics until `now_ns`; see `Motors`."""
        with self.lock:
            strengths, aims = self._combine(drives)
            self._set_strengths(strengths)
            passed = min(max(now_ns - self._last_ns, 0), _LARGEST_CATCH_UP_NS)
            # Whole physics steps: what is left of the time is kept for the next call.
            before = self._physics.now_ns
            step = round(self._physics.model.opt.timestep * NS_PER_S)
            self._physics.step_until(before + passed // step * step)
            if passed < _LARGEST_CATCH_UP_NS:
                self._last_ns += self._physics.now_ns - before
            else:
                self._last_ns = now_ns
            return {servo: self._motion(drive, strengths, aims) for servo, drive in drives.items()}

    def _combine(self, drives: Mapping[int, Drive]) -> tuple[Float64, Float64]:
        """Strength (fraction of all servos of the joint) and aim (rad; m for the gripper) of every joint."""
        counts = np.zeros(self._gripper + 1)
        powered = np.zeros(self._gripper + 1)
        strengths = np.zeros(self._gripper + 1)
        targets = np.zeros(self._gripper + 1)
        for drive in drives.values():
            counts[drive.joint] += 1
            if drive.powered:
                powered[drive.joint] += 1
                strengths[drive.joint] += drive.strength
                targets[drive.joint] += drive.target
        strengths /= np.maximum(counts, 1)
        aims = self._physics.data.ctrl[: self._gripper + 1].copy()
        driven = powered > 0
        aims[driven] = targets[driven] / powered[driven]
        if driven[self._gripper]:
            aims[self._gripper] = self._linkage.width(float(aims[self._gripper]))
        np.clip(aims, self._limits[:, 0], self._limits[:, 1], out=aims)
        self._physics.data.ctrl[: self._gripper + 1] = aims
        return strengths, aims

    def _set_strengths(self, strengths: Float64) -> None:
        if np.array_equal(strengths, self._strengths):
            return
        self._strengths = strengths.copy()
        model = self._physics.model
        scale = strengths.copy()
        scale[self._gripper] /= GRIPPER_STRENGTH
        model.actuator_forcerange[: self._gripper + 1] = self._forces * scale[:, None]
        self._physics.changed()

    def _motion(self, drive: Drive, strengths: Float64, aims: Float64) -> Motion:
        data, joint = self._physics.data, drive.joint
        if joint == self._gripper:
            return self._gripper_motion(drive)
        load = 0.0
        if drive.powered and strengths[joint] > 0:
            share = float(data.actuator_force[joint]) / float(self._forces[joint, 1] * strengths[joint])
            against = float(self._gains[joint] * (drive.target - aims[joint]) / self._forces[joint, 1])
            load = drive.strength * min(max(share + against, -1.0), 1.0)
        return Motion(float(data.qpos[joint]), float(data.qvel[joint]), load)

    def _gripper_motion(self, drive: Drive) -> Motion:
        data = self._physics.data
        width = self._physics.gripper_width()
        angle = self._linkage.angle(min(max(width, 0.0), self._linkage.largest_width))
        speed = float(data.qvel[self._gripper] - data.qvel[self._gripper + 1]) / self._linkage.width_per_rad(angle)
        load = 0.0
        if drive.powered:
            force = float(data.actuator_force[self._gripper]) / float(self._forces[self._gripper, 1])
            load = min(max(force * GRIPPER_STRENGTH, -drive.strength), drive.strength)
        return Motion(angle, speed, load)
