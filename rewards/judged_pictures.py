"""What a judge reads from a folder of labelled pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from rewards.intervals import JudgedFrames
from rewards.kind import LoadedReward
from rewards.labelled_pictures import DONE, UNCLEAR, LabelledPicture, by_episode
from rewards.measuring import Row, readings_of, require_frames_by_frames
from trajectories.errors import ConfigError
from trajectories.types import Observation, RobotSpec


def judged_pictures(
    reward: LoadedReward, pictures: Sequence[LabelledPicture], spec: RobotSpec, instructions: Collection[str]
) -> JudgedFrames:
    """Judge the pictures whose label is clear; a gripper that nobody noted counts as open.

    Groups: "task", "camera" and "kind" (success or failure of the episode, as far as its pictures say).

    Args:
        reward: The judge.
        pictures: What a person labelled.
        spec: The robot that the judge was trained for; pictures are given the size of its camera.
        instructions: What the judge may be asked; pictures with others are passed over.

    Raises:
        ConfigError: When no picture is left, or the judge says nothing of single pictures.
    """
    require_frames_by_frames(reward, "evaluate_reward.pictures")
    mine = [one for one in pictures if one.instruction in instructions]
    if not mine:
        raise ConfigError(
            f"None of the pictures has an instruction of the task ({', '.join(map(repr, instructions))}); there are "
            f"{', '.join(sorted({repr(one.instruction) for one in pictures}))}. Give a run whose task has them."
        )
    height, width = spec.cameras[reward.camera]
    if height != width:
        raise ConfigError(f"Pictures are made square, but camera {reward.camera!r} gives {height}x{width}.")
    unknown, found = np.full(len(spec.proprio), np.nan, np.float32), list[Row]()
    for name, shown in by_episode(mine).items():
        observations = [Observation({reward.camera: one.image(height)}, unknown, one.instruction, {}) for one in shown]
        kind = "success" if any(one.label == DONE for one in shown) else "failure"
        for one, reading in zip(shown, readings_of(reward, observations), strict=True):
            if one.label != UNCLEAR:
                groups = {"kind": kind, "task": one.task, "camera": one.camera or reward.camera}
                found.append((one.label == DONE, reading.probability, reading.above, name, groups))
    return JudgedFrames.of(found)
