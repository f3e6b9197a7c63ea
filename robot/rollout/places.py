"""Where demonstrations of a task picked its object up: places where it can lie, known without a model of the scene.

The file beside a pre-trained policy, `places.json`, goes to the robot with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.grasps import picked_up_at
from trajectories.types import DIRECTIONS, Direction, Episode, Float64

FILE = "places.json"
_COLUMNS = 4


@dataclass(frozen=True)
class Places:
    """Places by direction.

    Attributes:
        of: Direction -> float64 (N, 4): x, y, z of the tip in m and its yaw in rad, base frame, as the gripper closed.
    """

    of: Mapping[Direction, Float64]

    @classmethod
    def in_episodes(cls, episodes: Iterable[Episode], names: tuple[str, ...]) -> Self:
        """Where these episodes first picked something up.

        Args:
            episodes: Of one task.
            names: Names of the proprioception's entries (`RobotSpec.proprio`).
        """
        found: dict[Direction, list[Float64]] = {direction: [] for direction in DIRECTIONS}
        for episode in episodes:
            place = picked_up_at(episode, names)
            if place is not None:
                found[episode.direction].append(place)
        return cls({way: np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS) for way, rows in found.items()})

    def save(self, folder: Path) -> None:
        """Write the file of a folder.

        Raises:
            OSError: The disk refuses.
        """
        plain: dict[str, Any] = {way: np.round(rows, 5).tolist() for way, rows in self.of.items()}
        replace_file(folder / FILE, dump_checksummed(plain))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file of a folder.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        path = folder / FILE
        try:
            content = load_checksummed(path.read_bytes())
            rows = {way: np.array(content[way], dtype=np.float64).reshape(-1, _COLUMNS) for way in DIRECTIONS}
            if not all(np.isfinite(each).all() for each in rows.values()):
                raise ValueError("a place in it isn't finite")
        except FileNotFoundError:
            raise CheckpointError(
                f"{folder} has no {FILE}, which says where demonstrations picked the object up: `regrasp pretrain` "
                "with the same settings adds it, without training anew; on a robot without the data, copy it from "
                "there. Or set nothing down elsewhere: task.displace=0."
            ) from None
        except (ChecksumError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}): delete it; `regrasp pretrain` with the same settings makes it anew."
            ) from error
        return cls(rows)
