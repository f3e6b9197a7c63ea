"""Reads the perception of a policy folder, whichever kind it is."""

from __future__ import annotations

from pathlib import Path

from policies.common.tensor_file import read_kind
from policies.perception import image_perception, keypoint_perception
from policies.perception.common import FILE
from policies.perception.image_perception import ImagePerception
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.protocol import Perception
from trajectories.errors import CheckpointError
from trajectories.types import RobotSpec

_KINDS: dict[str, type[KeypointPerception] | type[ImagePerception]] = {
    keypoint_perception.KIND: KeypointPerception,
    image_perception.KIND: ImagePerception,
}


def load_perception(folder: Path, spec: RobotSpec | None = None) -> Perception:
    """Read `features.safetensors`.

    Args:
        folder: Policy folder.
        spec: The robot at hand; None takes the saved one.

    Raises:
        CheckpointError: The file is missing, damaged or incomplete, or holds something else.
        SpecMismatchError: It was made for another robot.
        MissingDependencyError: Pre-trained weights that it needs are not on this machine.
    """
    kind = read_kind(folder / FILE)
    if kind not in _KINDS:
        raise CheckpointError(f"{folder / FILE} holds {kind!r}; expected one of {', '.join(_KINDS)}.")
    return _KINDS[kind].load(folder, spec)
