"""What a well-formed episode is: checked when it is recorded, stored or received."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from trajectories.errors import InvalidEpisodeError
from trajectories.types import ACTION_SIZE, Direction, Episode, Observation, Outcome, RobotSpec, Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def check_name(name: str, what: str) -> None:
    """Refuse what can't be, or must not become, the name of a file: ids arrive from other machines.

    Raises:
        InvalidEpisodeError: Unless `name` is 1 to 120 of the characters A-Z a-z 0-9 . _ - and starts with a
            letter or digit.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidEpisodeError(
            f"{what} {name!r} can't name a file: use up to 120 letters, digits, '.', '_', '-', "
            "beginning with a letter or digit."
        )


def check_array(
    array: NDArray[Any], what: str, shape: tuple[int, ...], dtype: type[np.generic], finite: bool = False
) -> None:
    """Refuse an array of another shape or dtype, or one with NaN or infinity where `finite`.

    Raises:
        InvalidEpisodeError: Naming what is there and what is expected.
    """
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InvalidEpisodeError(f"{what} is {found}, expected {np.dtype(dtype)} {shape}.")
    if finite and not np.isfinite(array).all():
        raise InvalidEpisodeError(f"{what} holds NaN or infinity; only finite numbers can be learned from.")


def check_observation(observation: Observation, spec: RobotSpec) -> None:
    """Check one observation against the robot's specification.

    Raises:
        InvalidEpisodeError: Naming the first thing that doesn't fit.
    """
    _check_cameras(observation.images, spec)
    for camera, (height, width) in spec.cameras.items():
        check_array(observation.images[camera], f"image of camera {camera!r}", (height, width, 3), np.uint8)
    _check_depths(observation.depth, spec)
    for camera in spec.depth:
        check_array(observation.depth[camera], f"depth of camera {camera!r}", spec.cameras[camera], np.uint16)
    check_array(observation.proprio, "proprio", (len(spec.proprio),), np.float32, finite=True)


def check_episode(episode: Episode, spec: RobotSpec) -> None:
    """Check an episode: names, shapes and dtypes of all columns, and the conventions of `Episode`.

    Raises:
        InvalidEpisodeError: Naming the first thing that doesn't fit.
    """
    check_name(episode.id, "episode id")
    where, steps = f"of episode {episode.id}", len(episode)
    if steps == 0:
        raise InvalidEpisodeError(f"Episode {episode.id} has no steps; there is nothing to learn from it.")
    _check_choice(episode.direction, f"direction {where}", get_args(Direction))
    _check_choice(episode.outcome, f"outcome {where}", get_args(Outcome))
    for text, what in ((episode.task, "task"), (episode.instruction, "instruction")):
        if not isinstance(text, str):
            raise InvalidEpisodeError(f"{what} {where} is {type(text).__name__}, expected text.")
    _check_cameras(episode.images, spec)
    for camera, (height, width) in spec.cameras.items():
        what = f"images of camera {camera!r} {where}"
        check_array(episode.images[camera], what, (steps + 1, height, width, 3), np.uint8)
    _check_depths(episode.depth, spec)
    for camera in spec.depth:
        what = f"depth of camera {camera!r} {where}"
        check_array(episode.depth[camera], what, (steps + 1, *spec.cameras[camera]), np.uint16)
    if not episode.t_ns:
        raise InvalidEpisodeError(f"t_ns {where} is empty, expected the times of 'joints' and each camera.")
    for name, times in episode.t_ns.items():
        check_array(times, f"t_ns[{name!r}] {where}", (steps + 1,), np.int64)
    check_array(episode.proprio, f"proprio {where}", (steps + 1, len(spec.proprio)), np.float32, finite=True)
    check_array(episode.proposed, f"proposed {where}", (steps, ACTION_SIZE), np.float32)
    check_array(episode.executed, f"executed {where}", (steps, ACTION_SIZE), np.float32, finite=True)
    check_array(episode.rewards, f"rewards {where}", (steps,), np.float32, finite=True)
    check_array(episode.terminated, f"terminated {where}", (steps,), np.bool_)
    check_array(episode.truncated, f"truncated {where}", (steps,), np.bool_)
    check_array(episode.source, f"source {where}", (steps,), np.uint8)
    check_array(episode.policy_version, f"policy_version {where}", (steps,), np.int64)
    check_array(episode.success_probability, f"success_probability {where}", (steps + 1,), np.float32)
    _check_conventions(episode)
    plain_metadata(episode.metadata, where)


def plain_metadata(metadata: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The metadata as it comes back from JSON (tuples as lists).

    Raises:
        InvalidEpisodeError: When JSON can't hold it, for example a NumPy number or NaN.
    """
    try:
        return json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidEpisodeError(
            f"metadata {where} can't be written as JSON ({error}); use plain numbers, text, lists and dicts."
        ) from error


def _check_choice(value: str, what: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidEpisodeError(f"{what} is {value!r}, expected one of {', '.join(choices)}.")


def _check_cameras(images: Mapping[str, Any], spec: RobotSpec) -> None:
    if set(images) != set(spec.cameras):
        raise InvalidEpisodeError(
            f"images are of cameras {sorted(images)}, the robot's specification has {sorted(spec.cameras)}."
        )


def _check_depths(depth: Mapping[str, Any], spec: RobotSpec) -> None:
    if set(depth) != set(spec.depth):
        raise InvalidEpisodeError(
            f"depth is of cameras {sorted(depth)}, the robot's specification has {sorted(spec.depth)}."
        )


def _check_conventions(episode: Episode) -> None:
    where = f"of episode {episode.id}"
    unknown = set(episode.source.tolist()) - {int(source) for source in Source}
    if unknown:
        raise InvalidEpisodeError(f"source {where} has the values {sorted(unknown)}, expected those of Source.")
    if episode.terminated.any() and episode.outcome != "success":
        raise InvalidEpisodeError(
            f"terminated {where} is set although its outcome is {episode.outcome!r}: only success "
            f"terminates; "
            "running out of time is a truncation."
        )
    if (episode.terminated & episode.truncated).any():
        raise InvalidEpisodeError(f"a step {where} is both terminated and truncated; success wins.")
    probability = episode.success_probability
    if ((probability < 0) | (probability > 1)).any():
        raise InvalidEpisodeError(f"success_probability {where} leaves 0 ... 1 (NaN means: not judged).")
