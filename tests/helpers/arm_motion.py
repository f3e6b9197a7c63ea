"""Moves a scene's arm like the controller: 5 Hz targets on straight lines, joints interpolated at 50 Hz."""

import math

import numpy as np

from robot.control.kinematics import Kinematics
from robot.control.pose import Pose
from sim.scene.scene import Scene
from trajectories.types import Command

STEP_M, STEP_RAD, SUBSTEPS, SUBSTEP_NS = 0.05, 0.25, 10, 20_000_000


class Motion:
    """Straight lines of the tip, pointing down."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self.kinematics = Kinematics()
        self.joints = scene.physics.data.ctrl[:6].copy()
        self.pose = self.kinematics.forward(self.joints)

    def step(self, pose: Pose, width: float) -> None:
        goal = self.kinematics.inverse(pose, self.joints)
        start = self.scene.clock.now_ns()
        for i in range(1, SUBSTEPS + 1):
            joints = self.joints + (goal - self.joints) * i / SUBSTEPS
            self.scene.arm.send(Command(joints, width, start))
            self.scene.clock.sleep_until_ns(start + i * SUBSTEP_NS)
        self.joints, self.pose = goal, pose

    def go(self, xyz, yaw: float, width: float) -> None:
        start, end = np.asarray(self.pose.position), np.asarray(xyz, float)
        turn = yaw - self.pose.rpy[2]
        steps = max(1, math.ceil(max(np.abs(end - start).max() / STEP_M, abs(turn) / STEP_RAD)))
        first = self.pose.rpy[2]
        for i in range(1, steps + 1):
            along = i / steps
            yaw_now = first + turn * along
            self.step(Pose(start + (end - start) * along, np.array([0.0, 0.0, yaw_now])), width)

    def wait(self, steps: int, width: float) -> None:
        for _ in range(steps):
            self.step(self.pose, width)
