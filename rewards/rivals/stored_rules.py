"""What `reward.json` says of a rival's decisions: written once trained, read back, refused where it is not its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rewards.calibration import Calibration, Threshold
from rewards.certified import CertifiedRules
from rewards.decision import stored_home
from rewards.rivals.judge import DecisionRules
from trajectories.errors import CheckpointError
from trajectories.types import RobotSpec

FORMAT = 1


def described_rules(
    kind: str, settings: Any, rules: CertifiedRules, frames: int, goals: Mapping[str, int], spec: RobotSpec
) -> dict[str, Any]:
    """Plain JSON types of a kind, its settings (a dataclass), its rules and what they are for."""
    return {
        "format": FORMAT,
        "kind": kind,
        "settings": asdict(settings),
        "calibration": asdict(rules.calibration),
        "threshold": asdict(rules.threshold),
        "home": None if rules.home is None else asdict(rules.home),
        "frames": frames,
        "goals": dict(goals),
        "spec": spec.to_dict(),
    }


def require_kind(description: Mapping[str, Any], kind: str, folder: Path) -> None:
    """Refuse the description of another kind, or of another format.

    Raises:
        CheckpointError: Naming both.
        KeyError: An entry is missing.
    """
    if (description["format"], description["kind"]) != (FORMAT, kind):
        raise CheckpointError(
            f"{folder} holds kind {description['kind']!r} in format {description['format']}; this version reads "
            f"{kind!r} in format {FORMAT}."
        )


def stored_rules(description: Mapping[str, Any], camera: str, require_open_gripper: bool, frames: int) -> DecisionRules:
    """The rules of a description.

    Args:
        description: As `described_rules` gave it.
        camera: That is looked through.
        require_open_gripper: Frames with the gripper commanded closed never count.
        frames: Consecutive frames that a decision needs.

    Raises:
        KeyError, TypeError, ValueError: An entry is missing or damaged.
    """
    return DecisionRules(
        calibration=Calibration(**description["calibration"]),
        threshold=Threshold(**description["threshold"]),
        frames=frames,
        camera=camera,
        require_open_gripper=require_open_gripper,
        spec=RobotSpec.from_dict(description["spec"]),
        goals={str(text): int(goal) for text, goal in description["goals"].items()},
        home=stored_home(description),
    )
