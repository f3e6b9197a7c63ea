"""Set down elsewhere what the policy has picked up, so that a session without resets meets other starts, too.

A session that goes well begins each episode where the other direction ended: on the few places where its policy sets
things down. Now and then an episode is ended as soon as the object is held and lifted; the arm carries it to another
place, and the same direction is tried again from there. R3L (arXiv 2004.12570) perturbs the scene between attempts by
a learned controller, for the same reason; here it is a motion through the safety filter, to a place where a
demonstration picked the object up, at about the height at which it was gripped: what lies there is known to carry it.
Seen in the twin alone; not yet tried on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robot.control.pose import Pose
from robot.rollout.environment import RobotEnv
from robot.rollout.places import Places
from trajectories.errors import ConfigError, KinematicsError
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
_NEAR = 0.02
"""m, the tip that is this near to where it should be is there."""


class Displacement:
    """Decides which episodes set their object down elsewhere, sees when it is held, and carries it.

    Args:
        env: The robot.
        places: Where the task's object was picked up in demonstrations; what this arm can't reach is left out.
        share: Of the episodes, above 0 and below 1.
        rng: Draws episodes and places.
        notify: Gets a line for people as the arm begins to carry; None tells nobody.

    Raises:
        ConfigError: The share is out of range, or a direction has no places that this arm reaches.
    """

    def __init__(
        self,
        env: RobotEnv,
        places: Places,
        share: float,
        rng: np.random.Generator,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        if not 0.0 < share < 1.0:
            raise ConfigError(f"task.displace={share} is no share of the episodes; expected more than 0, less than 1.")
        self._env, self._share, self._rng, self._notify = env, share, rng, notify
        self._height = max(env.home.rise_z, env.home.z[1])
        self._places = {way: np.array([row for row in rows if self._reaches(row)]) for way, rows in places.of.items()}
        for way, rows in self._places.items():
            if not len(rows):
                raise ConfigError(
                    f"This arm reaches none of the {len(places.of[way])} places where demonstrations of the {way} "
                    "task picked something up. Run again with the robot and the limits of then, or with "
                    "task.displace=0 and, where the run has begun, finetune.accept_changes=true."
                )
        names = env.robot_spec.proprio
        self._columns = [names.index(name) for name in ("gripper_width", "gripper_command", "tip_x", "tip_y", "tip_z")]
        self._seen: list[Float32] = []
        self._direction: Direction = "forward"
        self._wanted = False
        self._picked = self._goal = np.zeros(4)

    def begins(self, direction: Direction) -> None:
        """An episode begins; draws whether it ends as soon as something is held."""
        self._direction, self._seen = direction, []
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
        picked = np.array([*seen[grasps[-1].closed, 2:5], self._env.target.pose.rpy[2]], dtype=np.float64)
        goal = self._drawn(picked)
        self._wanted = goal is not None
        if goal is not None:
            self._picked, self._goal = picked, goal
        return self._wanted

    def carry(self) -> dict[str, Any]:
        """Carry what is held to its place and lower it there; the gripper is opened by whoever goes home next.

        Where something blocks the way there, it is brought back to where it was picked up.

        Returns:
            Plain JSON for the episode's metadata: "to", x, y and z in m and yaw in rad, and "there", whether the arm
            got there with something between its fingers.

        Raises:
            SafetyError: On a fault; the arm holds, and what it holds.
            StaleDataError: When a device stopped delivering.
        """
        env, (x, y, z, yaw) = self._env, self._goal.tolist()
        if self._notify is not None:
            self._notify(f"The arm sets down elsewhere what it holds, at x={x:.2f} m, y={y:.2f} m.")
        here, (over, down) = env.target.pose, self._over_and_down(self._goal)
        up = Pose(np.array([*here.position[:2], max(float(here.position[2]), self._height)]), here.rpy)
        clear = env.move_to(up, gripper_open=False) and env.move_to(over, gripper_open=False) and self._at(over)
        above, at = (over, down) if clear else self._over_and_down(self._picked)
        if self._holds() and env.move_to(above, gripper_open=False) and self._at(above):
            env.move_to(at, gripper_open=False)
        return {"to": [round(value, 4) for value in (x, y, z, yaw)], "there": self._at(down) and self._holds()}

    def _drawn(self, picked: Float64) -> Float64 | None:
        """Where to set down what was gripped at `picked`, float64 (4,) both, or None where there is no place."""
        rows = self._places[self._direction]
        far = np.hypot(*(rows[:, :2] - picked[:2]).T) >= FAR
        fits = rows[far & (np.abs(rows[:, 2] - picked[2]) < SAME_HEIGHT)]
        if not len(fits):
            return None
        place: Float64 = fits[int(self._rng.integers(len(fits)))].copy()
        place[2] = max(picked[2], place[2]) + _ABOVE  # rather let go too high than pushed into what is below
        return place

    def _over_and_down(self, place: Float64) -> tuple[Pose, Pose]:
        """Above a place, and at it."""
        x, y, z, yaw = place.tolist()
        over, down = (self._env.kinematics.attainable(Pose.of((x, y, to), (0.0, 0.0, yaw))) for to in (self._height, z))
        return over, down

    def _reaches(self, place: Float64) -> bool:
        """Whether the arm can be above a place and at it."""
        limits, ready = self._env.limits, self._env.model.ready
        for pose in self._over_and_down(place):
            if not ((limits.position_lower <= pose.position) & (pose.position <= limits.position_upper)).all():
                return False
            try:
                self._env.kinematics.inverse(pose, ready)
            except KinematicsError:
                return False
        return True

    def _holds(self) -> bool:
        return self._env.arm_state.gripper_width > HELD_WIDTH

    def _at(self, goal: Pose) -> bool:
        tip = self._env.kinematics.forward(self._env.arm_state.joints)
        return bool(np.linalg.norm(tip.position - goal.position) < _NEAR)
