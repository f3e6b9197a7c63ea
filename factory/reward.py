"""The backbone and the trained reward model that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.run_folders import reward_folder
from trajectories.errors import CheckpointError
from trajectories.types import RobotSpec

if TYPE_CHECKING:
    from rewards.backbone import Backbone
    from rewards.classifier import SuccessClassifier


def backbone_of(config: DictConfig) -> Backbone:
    """The vision-language model of `config.reward`."""
    from rewards.backbone import load_backbone

    reward = config.reward
    return load_backbone(reward.backbone, reward.pretrained, allow_download=bool(reward.allow_download))


def classifier_of(config: DictConfig, spec: RobotSpec) -> SuccessClassifier:
    """The reward model that `train-reward` left in the run's folder.

    Raises:
        CheckpointError: When there is none.
    """
    from rewards.files import load_classifier

    folder = reward_folder(Path(config.run_dir))
    if not folder.is_dir():
        raise CheckpointError(f"There is no reward model in {folder}. Run `regrasp train-reward` first.")
    return load_classifier(folder, backbone_of(config), spec)
