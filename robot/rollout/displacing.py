"""Set down elsewhere what the policy has picked up, so that a session without resets meets other starts, too.

A session that goes well begins each episode where the other direction ended: on the few places where its policy sets
things down. Now and then an episode is ended as soon as the object is held and lifted; the arm carries it to another
place, and the same direction is tried again from there. R3L (arXiv 2004.12570) perturbs the scene between attempts by
a learned controller, for the same reason; here it is a motion through the safety filter, to a place where a
demonstration picked the object up, at the height at which it was gripped: what lies there is known to carry it.
Seen in the twin alone; not yet tried on hardware.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robot.control.pose import Pose
from robot.rollout.environment import RobotEnv
from robot.rollout.places import Places
from trajectories.errors import ConfigError
from trajectories.grasps import HELD_WIDTH, find_grasps
from trajectories.types import Direction, Float32, Float64, Observation, Source

LIFTED = 0.03
"""m above where the gripper closed: what is held there has left what it lay on."""
SAME_HEIGHT = 0.01
"""m, places whose height differs by less may lie on the same thing: what stands on it was gripped here and there."""
FAR = 0.03
"""m from where it was picked up, at least: nearer is no other place."""
_ABOVE = 0.003
"""m, so much higher than it was gripped is it let go: a height that is measured is known to a few millimetres."""


class Displacement:
    """Decides which episodes set their object down elsewhere, sees when it is held, and carries it.

    Args:
        env: The robot.
        places: Where the task's object was picked up in demonstrations.
        share: Of the episodes, 0 ... 1.
        rng: Draws episodes and places.

    Raises:
        ConfigError: The share is out of range, or a direction has no places.
    """

    def __init__(self, env: RobotEnv, places: Places, share: float, rng: np.random.Generator) -> None:
        if not 0.0 < share <= 1.0:
            raise ConfigError(f"task.displace={share} is no share of the episodes; expected more than 0, at most 1.")
        empty = [way for way, rows in places.of.items() if not len(rows)]
        if empty:
            raise ConfigError(
                f"No demonstration of the {empty[0]} task picks anything up, so there is no place to set things down: "
                "task.displace=0 sets nothing down elsewhere."
            )
        self._env, self._places, self._share, self._rng = env, places, share, rng
        names = env.robot_spec.proprio
        self._columns = [names.index(name) for name in ("gripper_width", "gripper_command", "tip_x", "tip_y", "tip_z")]
        self._seen: list[Float32] = []
        self._direction: Direction = "forward"
        self._wanted = False
        self._goal: Float64 | None = None

    def begins(self, direction: Direction) -> None:
        """An episode begins; draws whether it ends as soon as something is held."""
        self._direction, self._goal, self._seen = direction, None, []
        self._wanted = bool(self._rng.random() < self._share)

    def takes(self, observation: Observation, source: Source) -> bool:
        """Whether the episode ends here: its object is held and lifted, and there is a place for it.

        Every observation after the first has to be shown, in order. Where a person acts, the episode is theirs.

        Args:
            observation: The newest one.
            source: Who acted.
        """
        self._wanted = self._wanted and source == Source.POLICY
        if not self._wanted:
            return False
        self._seen.append(observation.proprio[self._columns])
        seen = np.stack(self._seen)
        grasps = find_grasps(seen[:, 0], seen[:, 1])
        if not grasps or grasps[-1].end < len(seen) or seen[-1, 4] < seen[grasps[-1].closed, 4] + LIFTED:
            return False
        self._goal = self._drawn(seen[grasps[-1].closed, 2:5].astype(np.float64))
        self._wanted = self._goal is not None
        return self._wanted

    def carry(self) -> dict[str, Any]:
        """Carry what is held to its place and lower it there; the gripper is opened by whoever goes home next.

        Returns:
            Plain JSON for the episode's metadata: "to", x, y and z in m and yaw in rad, and "there", whether the arm
            got there with something between its fingers.

        Raises:
            SafetyError: On a fault; the arm holds, and what it holds.
            StaleDataError: When a device stopped delivering.
        """
        assert self._goal is not None
        x, y, z, yaw = self._goal.tolist()
        here, height = self._env.target.pose, max(self._env.home.rise_z, self._env.home.z[1])
        up = Pose(np.array([*here.position[:2], max(float(here.position[2]), height)]), here.rpy)
        over, down = (self._env.kinematics.attainable(Pose.of((x, y, to), (0.0, 0.0, yaw))) for to in (height, z))
        there = self._env.move_to(up, gripper_open=False) and self._env.move_to(over, gripper_open=False)
        there = there and self._env.arm_state.gripper_width > HELD_WIDTH
        there = there and self._env.move_to(down, gripper_open=False)
        return {"to": [round(value, 4) for value in (x, y, z, yaw)], "there": there}

    def _drawn(self, picked: Float64) -> Float64 | None:
        """Where to set down what was gripped at `picked`, x, y, z, m: float64 (4,), or None where there is no place."""
        rows = self._places.of[self._direction]
        far = np.hypot(*(rows[:, :2] - picked[:2]).T) >= FAR
        fits = rows[far & (np.abs(rows[:, 2] - picked[2]) < SAME_HEIGHT)]
        if not len(fits):
            return None
        place: Float64 = fits[int(self._rng.integers(len(fits)))].copy()
        place[2] = max(picked[2], place[2]) + _ABOVE  # rather let go too high than pushed into what is below
        return place
