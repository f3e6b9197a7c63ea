"""Writes and reads a success classifier: `reward.safetensors` has its networks, `reward.json` the rest."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rewards.backbone import Backbone
from rewards.calibration import Calibration, Threshold
from rewards.classifier import Member, SuccessClassifier
from rewards.decision import stored_home
from rewards.doubt import DoubtRules, SceneDistance
from rewards.folder import JSON, read_folder, write_folder
from rewards.temporal import TimeNet
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import RobotSpec

FORMAT = 1
_SCENE_MEAN, _SCENE_PRECISION = "scene.mean", "scene.precision"
_TIME = "time."


def save_classifier(classifier: SuccessClassifier, folder: Path, report: dict[str, Any] | None = None) -> None:
    """Write `classifier` into `folder`, the JSON last, so that a folder with a JSON is complete.

    Args:
        classifier: What to save; the backbone is named by its digest, not copied.
        folder: Created when missing; an older classifier in it is replaced.
        report: JSON to keep beside it, e.g. the figures of its training.
    """
    tensors = {
        f"{index}.{name}": value
        for index, member in enumerate(classifier.members)
        for name, value in member.state_dict().items()
    }
    if classifier.doubt is not None and classifier.doubt.scene is not None:
        scene = classifier.doubt.scene
        tensors |= {_SCENE_MEAN: scene.mean, _SCENE_PRECISION: scene.precision}
    if classifier.time is not None:
        tensors |= {f"{_TIME}{name}": value for name, value in classifier.time.state_dict().items()}
    description = {
        "format": FORMAT,
        "backbone": {"name": classifier.backbone.name, "digest": classifier.backbone.digest},
        "members": len(classifier.members),
        "hidden": classifier.members[0].head.hidden,
        "last_block": classifier.members[0].last_block is not None,
        "calibration": asdict(classifier.calibration),
        "threshold": asdict(classifier.threshold),
        "trust": classifier.trust,
        "home": None if classifier.home is None else asdict(classifier.home),
        "frames": classifier.frames,
        "cameras": list(classifier.cameras),
        "require_open_gripper": classifier.require_open_gripper,
        "spec": classifier.spec.to_dict(),
        "wordings": list(classifier.wordings),
        "doubt": None if classifier.doubt is None else _doubt_to_dict(classifier.doubt),
        "window": 0 if classifier.time is None else classifier.time.window,
        "report": report or {},
    }
    write_folder(folder, tensors, description)


def load_classifier(folder: Path, backbone: Backbone, spec: RobotSpec | None = None) -> SuccessClassifier:
    """Inverse of `save_classifier`.

    Args:
        folder: Where it lies.
        backbone: The backbone that it was trained on.
        spec: The robot at hand; None skips that check.

    Raises:
        CheckpointError: When the folder is incomplete, damaged or made for another backbone.
        SpecMismatchError: When it was trained for another robot.
    """
    description, tensors = read_folder(folder, "success classifier")
    try:
        if description["format"] != FORMAT:
            raise CheckpointError(f"{folder / JSON} has format {description['format']}; this version reads {FORMAT}.")
        if description["backbone"]["digest"] != backbone.digest:
            raise CheckpointError(
                f"The success classifier in {folder} was trained on backbone "
                f"{description['backbone']['name']} ({description['backbone']['digest'][:12]}), but "
                f"{backbone.name} ({backbone.digest[:12]}) is loaded. "
                "Load that backbone, or run `regrasp train-reward` again."
            )
        made_for = RobotSpec.from_dict(description["spec"])
        classifier = SuccessClassifier(
            backbone=backbone,
            members=_members(description, tensors, backbone),
            time=_time(description, tensors, backbone, made_for),
            calibration=Calibration(**description["calibration"]),
            threshold=Threshold(**description["threshold"]),
            frames=int(description["frames"]),
            cameras=_cameras(description),
            require_open_gripper=bool(description["require_open_gripper"]),
            spec=made_for,
            wordings=tuple(map(str, description.get("wordings", ()))),
            doubt=_doubt(description.get("doubt"), tensors),
            trust=float(description.get("trust", 1.0)),
            home=stored_home(description),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"The success classifier in {folder} is damaged: {error}. Train it again.") from error
    if spec is not None:
        spec.require_same(made_for, f"The success classifier in {folder}")
    return classifier


def stored_decision(folder: Path) -> tuple[float, int] | None:
    """Threshold and consecutive frames of the classifier in `folder`; None where there is none that says so."""
    try:
        description = json.loads((folder / JSON).read_text(encoding="utf-8"))
        return float(description["threshold"]["value"]), int(description["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _members(description: dict[str, Any], tensors: dict[str, torch.Tensor], backbone: Backbone) -> tuple[Member, ...]:
    members, hidden, views = [], int(description["hidden"]), len(_cameras(description))
    for index in range(int(description["members"])):
        last_block = backbone.last_block() if description["last_block"] else None
        member = Member(backbone.image_width, hidden, last_block, views).to(backbone.device)
        prefix = f"{index}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        member.load_state_dict(own, strict=True)
        members.append(member.eval().requires_grad_(False))
    return tuple(members)


def _time(
    description: dict[str, Any], tensors: dict[str, torch.Tensor], backbone: Backbone, spec: RobotSpec
) -> TimeNet | None:
    window = int(description.get("window", 0))
    if not window:
        return None
    time = TimeNet(backbone.image_width, len(spec.proprio), window, len(_cameras(description))).to(backbone.device)
    time.load_state_dict({name.removeprefix(_TIME): value for name, value in tensors.items() if name.startswith(_TIME)})
    return time.eval().requires_grad_(False)


def _doubt_to_dict(rules: DoubtRules) -> dict[str, Any]:
    """Plain JSON of the rules; the tensors of their distance are beside it."""
    limit = None if rules.scene is None else rules.limit
    return {"limit": limit, "spread": rules.spread, "margin": rules.margin}


def _doubt(description: dict[str, Any] | None, tensors: dict[str, torch.Tensor]) -> DoubtRules | None:
    """The rules; None where a version that had none wrote the file."""
    if description is None:
        return None
    spread, limit = float(description["spread"]), description["limit"]
    margin = float(description.get("margin", 0.0))
    if limit is None:
        return DoubtRules(None, math.inf, spread, margin)
    return DoubtRules(SceneDistance(tensors[_SCENE_MEAN], tensors[_SCENE_PRECISION]), float(limit), spread, margin)


def _cameras(description: dict[str, Any]) -> tuple[str, ...]:
    """The cameras; earlier versions knew one."""
    return tuple(map(str, description.get("cameras") or [description["camera"]]))
