"""A policy whose pictures come late, or whose actions do."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from robot.interfaces import EpisodePolicy
from trajectories.types import ACTION_SIZE, PROPRIO_NAMES, Float32, Observation, UInt8, UInt16

_GRIPPER = PROPRIO_NAMES.index("gripper_command")


class DelayedPolicy:
    """Another policy with delays in whole control steps (`robot.interfaces.EpisodePolicy`).

    Actions are executed late: until the first one is due the arm holds still, its gripper as it was. Pictures, their
    depth with them, are old and stamped as they arrive, so that no check of their age can tell; until there is one that
    old, the first is shown.
    Proprioception is always the newest.

    Args:
        policy: Who decides.
        action_delay: Control steps between a decision and its execution.
        picture_delay: Control steps between what the policy sees and what there is.
    """

    def __init__(self, policy: EpisodePolicy, action_delay: int, picture_delay: int) -> None:
        self._policy = policy
        self.version, self.digest, self.instructions = policy.version, policy.digest, policy.instructions
        self._action_delay = action_delay
        self._pictures: deque[tuple[Mapping[str, UInt8], Mapping[str, UInt16]]] = deque(maxlen=picture_delay + 1)
        self._decided: deque[Float32] = deque()

    def seed(self, seed: int) -> None:
        """Begin an episode."""
        self._pictures.clear()
        self._decided.clear()
        self._policy.seed(seed)

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """float32 (7,): what is executed now."""
        if not self._decided:
            rest = np.zeros(ACTION_SIZE, dtype=np.float32)
            rest[-1] = observation.proprio[_GRIPPER]
            self._decided.extend([rest] * self._action_delay)
        self._pictures.append((observation.images, observation.depth))
        images, depth = self._pictures[0]
        seen = replace(observation, images=images, depth=depth)
        self._decided.append(self._policy.act(seen, deterministic))
        return self._decided.popleft()
