"""Synthetic episodes whose success can be seen: a square slides into a goal."""

import numpy as np

from trajectories.types import PROPRIO_NAMES, Episode, RobotSpec

SPEC = RobotSpec(cameras={"front": (48, 48)})
GRIPPER = PROPRIO_NAMES.index("gripper_command")


def scene(rng: np.random.Generator, x: float) -> np.ndarray:
    """uint8 (48, 48, 3): a red square at `x` (0 left ... 1 right) on a grey table with a blue goal on the right."""
    image = rng.normal(120, 6, (48, 48, 3))
    image[10:38, 32:46] = (60, 80, 190)
    column = round(4 + x * 30)
    row = int(rng.integers(16, 22))
    image[row : row + 10, column : column + 10] = (210, 40, 30)
    return image.clip(0, 255).astype(np.uint8)


def make_episode(
    rng: np.random.Generator, index: int, direction: str = "forward", outcome: str = "success", task: str = "slide"
) -> Episode:
    """12 steps in which the square moves to the right (forward) or left; failures stop half-way."""
    length = 12
    reach = 1.0 if outcome == "success" else 0.55
    path = np.minimum(np.linspace(0, 1.6, length + 1), 1.0) * reach
    if direction == "backward":
        path = 1.0 - path
    proprio = np.zeros((length + 1, len(PROPRIO_NAMES)), np.float32)
    proprio[:, GRIPPER] = np.where(np.arange(length + 1) < 8, -1.0, 1.0)
    actions = np.zeros((length, 7), np.float32)
    words = {"forward": "put the cube on the plate", "backward": "put the cube on the mat"}[direction]
    return Episode(
        id=f"{index:020d}-00000000",
        task=task,
        instruction=words,
        direction=direction,
        outcome=outcome,
        images={"front": np.stack([scene(rng, x) for x in path])},
        proprio=proprio,
        t_ns={"front": np.arange(length + 1, dtype=np.int64)},
        proposed=actions,
        executed=actions,
        rewards=np.full(length, -1, np.float32),
        terminated=np.zeros(length, bool),
        truncated=np.zeros(length, bool),
        source=np.zeros(length, np.uint8),
        policy_version=np.full(length, -1, np.int64),
        success_probability=np.full(length + 1, np.nan, np.float32),
    )
