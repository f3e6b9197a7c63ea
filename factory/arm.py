"""Find the model of the arm that the settings name."""

from __future__ import annotations

from omegaconf import DictConfig

from robot.arms.model import ArmModel
from robot.arms.registry import arm_model

DEFAULT_ARM = "wx250s"


def arm_of(config: DictConfig) -> ArmModel:
    """The model of the arm that `robot.model` names; the WidowX 250 S where the robot's settings name none.

    Raises:
        ConfigError: For an unknown arm.
    """
    return arm_model(str(config.robot.get("model") or DEFAULT_ARM))
