"""What the judge looks through: cameras of the robot, at a size of its own where the settings say one.

A judge that wants another size than the robot's cameras have for the policy gets a view: a camera of its own in the
`RobotSpec`, named by `view_name`, with frames of the same device. So recordings hold it, the link carries it, and
policies, which name what they look through, don't see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trajectories.errors import ConfigError
from trajectories.numbers import whole
from trajectories.types import RobotSpec
from trajectories.views import view_name

LEAST_SIZE = 32
"""Pixels; smaller pictures show no object."""


def judge_views(settings: Mapping[str, Any], cameras: Sequence[str], size: int) -> tuple[str, ...]:
    """What the judge of the group `reward` looks through: names of cameras, or of views of them.

    Args:
        settings: Of the group: `cameras`, else `camera`, else the robot's first; `image_size`, else the robot's.
        cameras: The robot's.
        size: Height and width of their images, pixels.

    Raises:
        ConfigError: For a camera that the robot doesn't have, or an image size out of range.
    """
    given = settings.get("cameras") or settings.get("camera") or cameras[0]
    names = tuple(map(str, [given] if isinstance(given, str) else given))
    unknown = [name for name in names if name not in cameras]
    if unknown:
        raise ConfigError(
            f"reward.cameras names {', '.join(unknown)}; the robot has {', '.join(cameras)}. Add it to "
            "robot.cameras, or name one of these."
        )
    own = settings.get("image_size")
    if own is None or own == size:
        return names
    if whole("reward.image_size", own) < LEAST_SIZE:
        raise ConfigError(f"reward.image_size is {own}, expected at least {LEAST_SIZE} pixels.")
    return tuple(view_name(name, own) for name in names)


def cameras_from(settings: Mapping[str, Any], spec: RobotSpec) -> tuple[str, ...]:
    """`judge_views` among the cameras of a `RobotSpec`.

    Raises:
        ConfigError: As there, or when the specification lacks a view that the settings ask for.
    """
    given = settings.get("cameras") or settings.get("camera") or next(iter(spec.cameras))
    first = given if isinstance(given, str) else str(given[0])
    if first not in spec.cameras:
        return judge_views(settings, tuple(spec.cameras), 0)
    names = judge_views(settings, tuple(spec.cameras), spec.cameras[first][0])
    missing = [name for name in names if name not in spec.cameras]
    if missing:
        raise ConfigError(
            f"The judge looks through {', '.join(missing)} (reward.image_size), which this robot's specification "
            f"lacks; it has {', '.join(spec.cameras)}. Recordings hold the size that was set when they were made."
        )
    return names
