"""The disc world as another robot records it: another camera, fewer entries of proprioception, other joints."""

from dataclasses import replace

import numpy as np

from helpers.blob_world import SPEC
from trajectories.types import RobotSpec

LACKING = ("gripper_effort", "target_yaw")
OTHER = RobotSpec(
    joints=("slide",),
    cameras={"top": (64, 96)},
    proprio=tuple(name for name in reversed(SPEC.proprio) if name not in LACKING),
)


def as_other(episode):
    """The same episode of the other robot: the picture has margins, which cutting to a square takes away."""
    columns = [SPEC.proprio.index(name) for name in OTHER.proprio]
    wide = np.pad(episode.images["front"], ((0, 0), (0, 0), (16, 16), (0, 0)))
    return replace(episode, images={"top": wide}, proprio=np.ascontiguousarray(episode.proprio[:, columns]))
