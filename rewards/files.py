"""Writes and reads a success classifier: `reward.safetensors` has its networks, `reward.json` the rest."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from rewards.backbone import Backbone
from rewards.calibration import Calibration, Threshold
from rewards.classifier import Member, SuccessClassifier
from rewards.doubt import DoubtRules, SceneDistance
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import RobotSpec

FORMAT = 1
_SCENE_MEAN, _SCENE_PRECISION = "scene.mean", "scene.precision"


def save_classifier(classifier: SuccessClassifier, folder: Path, report: dict[str, Any] | None = None) -> None:
    """Write `classifier` into `folder`, the JSON last, so that a folder with a JSON is complete.

    Args:
        classifier: What to save; the backbone is named by its digest, not copied.
        folder: Created when missing; an older classifier in it is replaced.
        report: JSON to keep beside it, e.g. the figures of its training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{index}.{name}": value.detach().cpu().contiguous().clone()
        for index, member in enumerate(classifier.members)
        for name, value in member.state_dict().items()
    }
    if classifier.doubt is not None and classifier.doubt.scene is not None:
        tensors[_SCENE_MEAN] = classifier.doubt.scene.mean.clone()
        tensors[_SCENE_PRECISION] = classifier.doubt.scene.precision.clone()
    payload = save(tensors)
    description = {
        "format": FORMAT,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "backbone": {"name": classifier.backbone.name, "digest": classifier.backbone.digest},
        "members": len(classifier.members),
        "hidden": classifier.members[0].head.hidden,
        "last_block": classifier.members[0].last_block is not None,
        "calibration": asdict(classifier.calibration),
        "threshold": asdict(classifier.threshold),
        "frames": classifier.frames,
        "cameras": list(classifier.cameras),
        "require_open_gripper": classifier.require_open_gripper,
        "spec": classifier.spec.to_dict(),
        "wordings": list(classifier.wordings),
        "doubt": None if classifier.doubt is None else _doubt_to_dict(classifier.doubt),
        "report": report or {},
    }
    json_path = folder / "reward.json"
    json_path.unlink(missing_ok=True)
    replace_file(folder / "reward.safetensors", payload)
    replace_file(json_path, (json.dumps(description, indent=1) + "\n").encode())


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
    json_path, weights = folder / "reward.json", folder / "reward.safetensors"
    if not json_path.is_file() or not weights.is_file():
        raise CheckpointError(f"There is no success classifier in {folder}. Train one with `regrasp train-reward`.")
    try:
        description = json.loads(json_path.read_text(encoding="utf-8"))
        payload = weights.read_bytes()
        if description["format"] != FORMAT:
            raise CheckpointError(f"{json_path} has format {description['format']}; this version reads {FORMAT}.")
        if hashlib.sha256(payload).hexdigest() != description["sha256"]:
            raise CheckpointError(f"{weights} does not match the digest in {json_path.name}; train it again.")
        if description["backbone"]["digest"] != backbone.digest:
            raise CheckpointError(
                f"The success classifier in {folder} was trained on backbone "
                f"{description['backbone']['name']} ({description['backbone']['digest'][:12]}), but "
                f"{backbone.name} ({backbone.digest[:12]}) is loaded. "
                "Load that backbone, or run `regrasp train-reward` again."
            )
        made_for = RobotSpec.from_dict(description["spec"])
        tensors = load(payload)
        members = _members(description, tensors, backbone)
        classifier = SuccessClassifier(
            backbone=backbone,
            members=members,
            calibration=Calibration(**description["calibration"]),
            threshold=Threshold(**description["threshold"]),
            frames=int(description["frames"]),
            cameras=_cameras(description),
            require_open_gripper=bool(description["require_open_gripper"]),
            spec=made_for,
            wordings=tuple(map(str, description.get("wordings", ()))),
            doubt=_doubt(description.get("doubt"), tensors),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ConfigError) as error:
        raise CheckpointError(f"The success classifier in {folder} is damaged: {error}. Train it again.") from error
    if spec is not None:
        spec.require_same(made_for, f"The success classifier in {folder}")
    return classifier


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


def _doubt_to_dict(rules: DoubtRules) -> dict[str, Any]:
    """Plain JSON of the rules; the tensors of their distance are beside it."""
    return {"limit": None if rules.scene is None else rules.limit, "spread": rules.spread}


def _doubt(description: dict[str, Any] | None, tensors: dict[str, torch.Tensor]) -> DoubtRules | None:
    """The rules; None where a version that had none wrote the file."""
    if description is None:
        return None
    spread, limit = float(description["spread"]), description["limit"]
    if limit is None:
        return DoubtRules(None, math.inf, spread)
    return DoubtRules(SceneDistance(tensors[_SCENE_MEAN], tensors[_SCENE_PRECISION]), float(limit), spread)


def _cameras(description: dict[str, Any]) -> tuple[str, ...]:
    """The cameras; earlier versions knew one."""
    return tuple(map(str, description.get("cameras") or [description["camera"]]))
