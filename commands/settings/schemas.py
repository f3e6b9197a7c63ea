"""The dataclasses that groups of settings are built into: what a group may hold besides what its files write down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache

from omegaconf import DictConfig

from commands.settings.setting import Setting
from commands.settings.typed import settings_of
from trajectories.errors import ConfigError


@cache
def described_settings() -> tuple[Setting, ...]:
    """Settings that files write down and dataclasses describe, under the keys of the files."""
    from factory.method_settings import MethodSettings
    from policies.learner.learner_config import LearnerConfig
    from policies.learner.pretrain_config import PretrainConfig
    from policies.perception.encoders.config import EncoderConfig

    groups = {"method": MethodSettings, "finetune": LearnerConfig, "pretrain": PretrainConfig, "encoder": EncoderConfig}
    found = [one for name, cls in groups.items() for one in settings_of(cls, f"{name}.")]
    return (*optional_settings(), *found)


@cache
def optional_settings() -> tuple[Setting, ...]:
    """Settings of the agent and of the success classifier, each of which can be given whether a file has it or not."""
    from policies.agent.config import AgentConfig
    from rewards.config import RewardConfig

    return (*settings_of(AgentConfig, "agent."), *settings_of(RewardConfig, "reward."))


@cache
def device_settings() -> tuple[Setting, ...]:
    """What the settings of robots and of teleoperation devices may hold; `*` stands for a name that a person gives."""
    from drivers.cameras.config import Patience
    from drivers.hosting.orphan import OrphanSettings
    from drivers.teleop.device import SETTINGS
    from drivers.teleop.takeover import TakeoverConfig
    from drivers.widowx.settings import ArmSettings
    from robot.control.safety_limits import SafetyLimits

    found = [
        *settings_of(SafetyLimits, "robot.limits."),
        *settings_of(ArmSettings, "robot.arm."),
        *settings_of(OrphanSettings, "robot.orphan."),
        *settings_of(Patience, "robot.cameras.*.patience."),
        *settings_of(TakeoverConfig, "device.takeover."),
    ]
    found += [one for cls in SETTINGS.values() for p in ("device.", "device.keys_from.") for one in settings_of(cls, p)]
    return (*found, *_of_cameras())


def _of_cameras() -> Iterator[Setting]:
    from drivers.cameras.registry import KINDS
    from factory.cameras import SHARED

    for name in KINDS:
        with suppress(ConfigError):  # of a package that can't be imported; whoever opens such a camera says so
            for entry in fields(KINDS[name].settings):
                yield Setting(f"robot.cameras.*.{entry.name}", "", "", "")
    for key in ("kind", *SHARED):
        yield Setting(f"robot.cameras.*.{key}", "", "", "")


def checked_outside(config: DictConfig) -> list[str]:
    """Groups of which a package outside knows what they may hold: its own robot's, its own reward model's."""
    from factory.robot import ROBOTS

    found = []
    if "robot" in config and str(config.robot.name) not in ROBOTS.own:
        found.append("robot")
    if "reward" in config and (kind := config.reward.get("kind")):
        from rewards.registry import KINDS  # with all that the kinds compute with

        if str(kind) not in KINDS.own:
            found.append("reward")
    return found
