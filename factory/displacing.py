"""Which share of a session's episodes sets down elsewhere what it holds, and where (`robot.rollout.displacing`)."""

from __future__ import annotations

from collections.abc import Callable

from omegaconf import DictConfig

from factory.run_folders import find_policy
from factory.spec import spec_of
from factory.task import ends_open, keeps_tool
from robot.rollout.places import FILE, Places
from trajectories.errors import CheckpointError, ConfigError

AUTO = "auto"
DISPLACED = 0.4
"""Share of the episodes where `task.displace` is `auto`."""


def displace_of(config: DictConfig) -> float:
    """Share of a session's episodes that set down elsewhere what they hold.

    `auto` is `DISPLACED` in the twin and on its virtual arm where the pre-trained policy has places of both directions,
    and none on an arm, where nobody has tried it yet.

    Raises:
        ConfigError: It is no share, a tool stays in the gripper, or the task ends with something in it.
    """
    share = config.task.get("displace", 0)
    if share == AUTO:
        return DISPLACED if _rehearses(config) and _has_policy(config) and not _lacking(config) else 0.0
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ConfigError(f"task.displace={share} is no share of the episodes; expected 0 or more, below 1, or auto.")
    for key, there, why in (
        ("task.keeps_tool=true", keeps_tool(config), "it picks up nothing"),
        ("task.ends_open=false", not ends_open(config), "holding it may be the task"),
    ):
        if share and there:
            raise ConfigError(
                f"task.displace={share} sets down elsewhere what the gripper picked up, and with {key} {why}. Leave "
                "one of them out."
            )
    return float(share)


def places_of(config: DictConfig, notify: Callable[[str], None] = print) -> Places | None:
    """Where the session may set things down; None where it sets down nothing elsewhere.

    Args:
        config: Settings.
        notify: Told where `auto` is none because the policy has no places.

    Raises:
        ConfigError: See `displace_of`.
        CheckpointError: A share is given, and there is no policy, or it lacks places.
    """
    if displace_of(config):
        if lacking := _lacking(config):
            raise CheckpointError(f"{lacking} Or set nothing down elsewhere: task.displace=0.")
        return Places.load(find_policy(config, "pretrained"), str(config.task.name), spec_of(config))
    if config.task.get("displace", 0) == AUTO and _rehearses(config) and _has_policy(config):
        notify(f"task.displace=auto: nothing is set down elsewhere. {_lacking(config)}")
    return None


def _rehearses(config: DictConfig) -> bool:
    return str(config.robot.name) in ("twin", "virtual")


def _has_policy(config: DictConfig) -> bool:
    try:
        find_policy(config, "pretrained")
    except CheckpointError:
        return False
    return True


def _lacking(config: DictConfig) -> str:
    """What the pre-trained policy lacks for it, in words; empty for nothing.

    Raises:
        CheckpointError: There is none.
    """
    folder = find_policy(config, "pretrained")
    try:
        places = Places.load(folder, str(config.task.name), spec_of(config))
    except CheckpointError as error:
        return str(error)
    empty = [way for way, rows in places.of.items() if not len(rows)]
    if not empty:
        return ""
    return (
        f"{folder / FILE} has no place of the {empty[0]} task: no demonstration of this robot that the policy learned "
        "from picks anything up."
    )
