"""Small episodes whose every value tells where it belongs, so that a misplaced column shows."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from trajectories.labels import sparse_labels
from trajectories.types import Episode, Observation, RobotSpec

SPEC = RobotSpec(cameras={"front": (8, 6)})


def sample_episode(number: int = 0, steps: int = 4, spec: RobotSpec = SPEC, **changes: Any) -> Episode:
    """A valid episode that depends on nothing but its arguments."""
    rng = np.random.default_rng([number, steps])
    outcome = changes.get("outcome", "success")
    rewards, terminated = sparse_labels(steps, outcome)
    truncated = np.zeros(steps, np.bool_)
    truncated[-1] = outcome != "success"
    episode = Episode(
        id=f"{number:020d}-0000abcd",
        task="pot_pick_place",
        instruction=f"put the pot on the rack ({number})",
        direction="forward",
        outcome=outcome,
        images={
            camera: rng.integers(0, 256, (steps + 1, *shape, 3), np.uint8) for camera, shape in spec.cameras.items()
        },
        proprio=(np.arange((steps + 1) * len(spec.proprio), dtype=np.float32)).reshape(steps + 1, -1),
        t_ns={
            name: np.arange(steps + 1, dtype=np.int64) * 200_000_000 + 2**60 + i
            for i, name in enumerate(["joints", *spec.cameras])
        },
        proposed=1000 + np.arange(steps * 7, dtype=np.float32).reshape(steps, 7),
        executed=2000 + np.arange(steps * 7, dtype=np.float32).reshape(steps, 7),
        rewards=rewards,
        terminated=terminated,
        truncated=truncated,
        source=(np.arange(steps) % 3).astype(np.uint8),
        policy_version=np.arange(steps, dtype=np.int64) - 1,
        success_probability=np.linspace(0, 1, steps + 1, dtype=np.float32),
        metadata={"seed": number, "evaluation": {"success": True}},
    )
    return replace(episode, **changes)


def sample_observation(t: int, instruction: str = "put the pot on the rack", spec: RobotSpec = SPEC) -> Observation:
    return Observation(
        images={camera: np.full((*shape, 3), t, np.uint8) for camera, shape in spec.cameras.items()},
        proprio=np.full(len(spec.proprio), t, np.float32),
        instruction=instruction,
        t_ns={"joints": 10 * t, **dict.fromkeys(spec.cameras, 10 * t + 1)},
    )


def assert_same_episode(left: Episode, right: Episode) -> None:
    """Equal bit by bit, dtypes included."""
    for field in fields(Episode):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if field.name in ("images", "t_ns", "depth"):
            assert a.keys() == b.keys(), field.name
            pairs = [(a[key], b[key]) for key in a]
        elif isinstance(a, np.ndarray):
            pairs = [(a, b)]
        else:
            assert a == b, field.name
            continue
        for x, y in pairs:
            assert (x.dtype, x.shape) == (y.dtype, y.shape), field.name
            assert x.tobytes() == y.tobytes(), field.name
