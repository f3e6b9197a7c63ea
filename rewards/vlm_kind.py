"""The success classifier on a vision-language backbone, as a kind of reward model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rewards.backbone import EMBEDDED, Backbone, load_backbone
from rewards.config import RewardConfig
from rewards.evaluation import evaluate_episodes, evaluate_frames, figures_table
from rewards.files import load_classifier, save_classifier
from rewards.judge import VlmReward
from rewards.kind import HeldOut, LoadedReward, RewardKind
from rewards.training import train_reward
from trajectories.errors import ConfigError
from trajectories.settings import merged
from trajectories.types import Episode, RobotSpec

_BACKBONE = ("backbone", "pretrained", "allow_download")


class VlmKind(RewardKind):
    """Trains heads on a frozen backbone, calibrates them and sets their threshold on held-out episodes."""

    def train(
        self,
        episodes: Iterable[Episode],
        task: str,
        spec: RobotSpec,
        settings: Mapping[str, Any],
        folder: Path,
        progress: Callable[[str, float], None],
    ) -> str:
        """Write classifier and `training.json`; returns the figures on held-out folds."""
        raw = {key: value for key, value in settings.items() if key not in _BACKBONE}
        raw.setdefault("camera", next(iter(spec.cameras)))
        config = merged(RewardConfig(), raw, "reward")
        trained = train_reward(episodes, task, backbone_from(settings), spec, config, progress)
        save_classifier(trained.classifier, folder)
        (folder / "training.json").write_text(json.dumps(trained.report, indent=1))
        threshold = trained.report["threshold"]
        return (
            f"{figures_table(trained.report['held_out'])}\n\n"
            f"Decision: {trained.classifier.frames} frames in a row above {threshold['value']:.3f}."
        )

    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> VlmReward:
        """Load the classifier on the backbone of the settings."""
        return VlmReward(load_classifier(folder, backbone_from(settings), spec))

    def evaluate(self, trained: LoadedReward, held_out: HeldOut) -> dict[str, Any]:
        """Measure it on all frames at once, before and after calibration.

        Raises:
            ConfigError: For a reward model of another kind.
        """
        if not isinstance(trained, VlmReward):
            raise ConfigError(f"Expected a success classifier, got {type(trained).__name__}.")
        camera = trained.camera
        images = [observation.images[camera][None] for observation in held_out.occluded]
        proprio = [observation.proprio[None] for observation in held_out.occluded]
        words = [observation.instruction for observation in held_out.occluded]
        for item in held_out.episodes:
            images.append(item.episode.images[camera][list(item.rows)])
            proprio.append(item.episode.proprio[list(item.rows)])
            words += [item.episode.instruction] * len(item.rows)
        frames = evaluate_frames(
            trained.classifier,
            np.concatenate(images),
            words,
            held_out.done,
            [held_out.task] * len(words),
            held_out.kinds,
            proprio=np.concatenate(proprio),
        )
        whole = [item.episode for item in held_out.episodes if item.whole]
        return {"frames": frames, "whole_episodes": evaluate_episodes(trained.classifier, whole)}


def backbone_from(settings: Mapping[str, Any]) -> Backbone:
    """The backbone of the group `reward`; the shipped one where it names none."""
    return load_backbone(
        settings.get("backbone") or EMBEDDED,
        settings.get("pretrained"),
        allow_download=bool(settings.get("allow_download", False)),
    )
