"""Observations as Gymnasium has them: nested dictionaries and their space."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from robot.interfaces import Frame
from robot.rollout.instruction_space import InstructionSpace
from trajectories.errors import ConfigError
from trajectories.types import Observation, RobotSpec, UInt16


def observation_space(spec: RobotSpec) -> spaces.Dict:
    """What `as_dict` gives for a robot: images, proprioception, instruction, and depth where it is recorded."""
    images = {name: spaces.Box(0, 255, (h, w, 3), np.uint8) for name, (h, w) in sorted(spec.cameras.items())}
    depths = {name: spaces.Box(0, 65535, spec.cameras[name], np.uint16) for name in sorted(spec.depth)}
    return spaces.Dict(
        {
            "images": spaces.Dict(images),  # type: ignore[arg-type]
            "proprio": spaces.Box(-np.inf, np.inf, (len(spec.proprio),), np.float32),
            "instruction": InstructionSpace(),
            **({"depth": spaces.Dict(depths)} if depths else {}),  # type: ignore[arg-type]
        }
    )


def as_dict(observation: Observation) -> dict[str, Any]:
    """The observation, an element of `observation_space`."""
    return {
        "images": dict(observation.images),
        "proprio": observation.proprio,
        "instruction": observation.instruction,
        **({"depth": dict(observation.depth)} if observation.depth else {}),
    }


def depth_of(name: str, frame: Frame) -> UInt16:
    """The depth of a camera's frame, uint16 (H, W) mm.

    Raises:
        ConfigError: It has none.
    """
    if frame.depth is None:
        raise ConfigError(
            f"Camera {name!r} gives no depth, and the robot's specification says that it is recorded. Switch it on in "
            f"the camera's settings, or leave it out: robot.cameras.{name}.depth=false."
        )
    return frame.depth
