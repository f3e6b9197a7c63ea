"""The twin's tasks with flat observations, for libraries that know boxes only: `regrasp/PotPickPlaceFlat-v0` and so on.

    import gymnasium
    env = gymnasium.make("sim.flat_env:regrasp/BinWeightFlat-v0")

Rewards and ends are those of `sim.register`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from sim.register import TwinEnv, env_id
from sim.tasks import TASKS
from trajectories.types import DIRECTIONS, Float32


class FlatTwinEnv(gymnasium.ObservationWrapper[dict[str, Any], Float32, dict[str, Any]]):
    """`TwinEnv` with one box a key: a camera's uint8 (H, W, 3), "state" float32 (P,), "instruction" float32 (W,).

    The instruction is one-hot among the W wordings of the task, those of forward first: who knows no words learns which
    of the two ways is meant.
    """

    def __init__(self, task: str, **settings: Any) -> None:
        """Make the environment.

        Args:
            task: Name in `sim.tasks.TASKS`.
            settings: Of `TwinEnv`.

        Raises:
            ConfigError: See `TwinEnv`.
        """
        super().__init__(TwinEnv(task, **settings))
        self._wordings = [text for direction in DIRECTIONS for text in TASKS[task].instructions[direction]]
        inside = self.env.observation_space
        assert isinstance(inside, spaces.Dict)
        images = inside["images"]
        assert isinstance(images, spaces.Dict)
        words = spaces.Box(0.0, 1.0, (len(self._wordings),), np.float32)
        self.observation_space = spaces.Dict({**images.spaces, "state": inside["proprio"], "instruction": words})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The flat one."""
        words = np.zeros(len(self._wordings), np.float32)
        words[self._wordings.index(observation["instruction"])] = 1.0
        return {**observation["images"], "state": observation["proprio"], "instruction": words}


def register_all() -> tuple[str, ...]:
    """Register every task with Gymnasium (again is harmless); returns the ids."""
    ids = {env_id(task, "Flat"): task for task in TASKS}
    for name, task in ids.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="sim.flat_env:FlatTwinEnv", kwargs={"task": task})
    return tuple(ids)


register_all()
