"""Where demonstrations of a task picked its object up: places where it can lie, known without a model of the scene.

The file beside a pre-trained policy, `places.json`, goes to the robot with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.grasps import picked_up_at
from trajectories.types import DIRECTIONS, Direction, Episode, Float64, RobotSpec

FILE = "places.json"
_COLUMNS = 4


@dataclass(frozen=True)
class Places:
    """Places by direction.

    Attributes:
        task: What was demonstrated.
        robot: Digest of the robot's `RobotSpec`.
        of: Direction -> float64 (N, 4): x, y, z of the tip in m and its yaw in rad, base frame, as the gripper closed.
    """

    task: str
    robot: str
    of: Mapping[Direction, Float64]

    @classmethod
    def in_episodes(cls, episodes: Iterable[Episode], task: str, spec: RobotSpec) -> Self:
        """Where these episodes first picked something up.

        Args:
            episodes: Of the task.
            task: Its name.
            spec: The robot that recorded them.
        """
        found: dict[Direction, list[Float64]] = {direction: [] for direction in DIRECTIONS}
        for episode in episodes:
            place = picked_up_at(episode, spec.proprio)
            if place is not None:
                found[episode.direction].append(place)
        rows = {way: np.array(each, dtype=np.float64).reshape(-1, _COLUMNS) for way, each in found.items()}
        return cls(task, spec.digest, rows)

    def save(self, folder: Path) -> None:
        """Write the file of a folder.

        Raises:
            OSError: The disk refuses.
        """
        rows = {way: np.round(each, 5).tolist() for way, each in self.of.items()}
        replace_file(folder / FILE, dump_checksummed({"task": self.task, "robot": self.robot, "places": rows}))

    @classmethod
    def load(cls, folder: Path, task: str, spec: RobotSpec) -> Self:
        """Read the file of a folder.

        Args:
            folder: Of the policy.
            task: What is done now.
            spec: The robot at hand.

        Raises:
            CheckpointError: There is none, it is damaged, or of another task or robot.
        """
        path = folder / FILE
        try:
            content = load_checksummed(path.read_bytes())
            of = {way: np.array(content["places"][way], dtype=np.float64).reshape(-1, _COLUMNS) for way in DIRECTIONS}
            found = cls(str(content["task"]), str(content["robot"]), of)
        except FileNotFoundError:
            raise CheckpointError(
                f"{folder} has no {FILE}, which says where demonstrations picked the object up: `regrasp pretrain` "
                "with the settings and data of then adds it, without training anew; on a robot without the data, copy "
                "it from there."
            ) from None
        except (ChecksumError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}): delete it; `regrasp pretrain` with the same settings makes it anew."
            ) from error
        for what, then, now in (("task", found.task, task), ("robot", found.robot, spec.digest)):
            if then != now:
                raise CheckpointError(
                    f"{path} is of the {what} {then}, and this is {now}: copy whole policy folders only."
                )
        return found
