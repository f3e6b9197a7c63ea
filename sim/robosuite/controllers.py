"""Settings of robosuite's controllers by a name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import robosuite

from trajectories.errors import ConfigError


def controller_settings(controller: str | None, robots: Sequence[str]) -> list[dict[str, Any]]:
    """What robosuite takes as `controller_configs`, one for each robot.

    Args:
        controller: Name of an arm's controller ("OSC_POSE") or of a composite one ("WHOLE_BODY_IK"), a JSON file of
            either, or None for each robot's own default.
        robots: The robots.

    Raises:
        ConfigError: There is no such controller or file.
    """
    return [_settings(controller, robot) for robot in robots]


def _settings(controller: str | None, robot: str) -> dict[str, Any]:
    if controller is None:
        return robosuite.load_composite_controller_config(robot=robot)
    if controller in robosuite.ALL_COMPOSITE_CONTROLLERS:
        return robosuite.load_composite_controller_config(controller=controller, robot=robot)
    if controller in robosuite.ALL_PART_CONTROLLERS:
        return _for_arms(robosuite.load_part_controller_config(default_controller=controller), robot)
    if not controller.endswith(".json"):
        known = ", ".join([*sorted(robosuite.ALL_PART_CONTROLLERS), *sorted(robosuite.ALL_COMPOSITE_CONTROLLERS)])
        raise ConfigError(
            f"robosuite has no controller {controller!r}; it has {known}. A JSON file of one will do, too."
        )
    try:
        content = json.loads(Path(controller).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{controller} can't be read as a controller of robosuite: {error}.") from error
    if "body_parts" in content:
        return robosuite.load_composite_controller_config(controller=controller, robot=robot)
    return _for_arms(content, robot)


def _for_arms(part: dict[str, Any], robot: str) -> dict[str, Any]:
    """The robot's default composite controller with this one for each of its arms."""
    whole = robosuite.load_composite_controller_config(robot=robot)
    for name in ("right", "left"):
        if name in whole["body_parts"]:
            whole["body_parts"][name] = {**part, "gripper": {"type": "GRIP"}}
    return whole
