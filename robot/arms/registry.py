"""The open list of arm models."""

from __future__ import annotations

from robot.arms.model import ArmModel
from robot.arms.vx300s import VX300S
from robot.arms.wx200 import WX200
from robot.arms.wx250 import WX250
from robot.arms.wx250s import WX250S
from trajectories.errors import ConfigError
from trajectories.registry import Registry

ARMS: Registry[ArmModel] = Registry(
    "regrasp.arms", "arm", {model.name: model for model in (WX250S, WX250, WX200, VX300S)}
)


def arm_model(name: str) -> ArmModel:
    """The arm of that name, one of `ARMS`.

    Raises:
        ConfigError: When nobody brings it, or what a package brings under that name is no `ArmModel`.
    """
    found = ARMS[name]
    if not isinstance(found, ArmModel):
        raise ConfigError(f"The arm {name!r} of a package outside is {found!r}; an ArmModel is expected.")
    return found
