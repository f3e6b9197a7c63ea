"""The success classifier on a vision-language backbone, as a kind of reward model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rewards.backbone import EMBEDDED, Backbone, load_backbone
from rewards.calibration import sigmoid
from rewards.cameras import cameras_from
from rewards.config import RewardConfig
from rewards.evaluation import figures_table
from rewards.files import load_classifier, save_classifier
from rewards.judge import VlmReward
from rewards.kind import LoadedReward, RewardKind
from rewards.readable import require_readable
from rewards.training import train_reward
from rewards.weight_files import WeightFile, find_weights
from trajectories.durable import replace_file
from trajectories.errors import ConfigError
from trajectories.numbers import whole
from trajectories.settings import merged
from trajectories.types import Direction, Episode, Float64, RobotSpec

MODEL_SETTINGS = ("backbone", "pretrained", "allow_download", "device", "threads", "image_size")
"""Settings of the group that choose the backbone, its pictures and where it computes; of no kind's own dataclass."""
AUTO = "auto"
_MOST_THREADS = 8


class VlmKind(RewardKind):
    """Trains heads on a frozen backbone, calibrates them and sets their threshold on held-out episodes."""

    def train(
        self,
        episodes: Iterable[Episode],
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        spec: RobotSpec,
        settings: Mapping[str, Any],
        folder: Path,
        progress: Callable[[str, float], None],
    ) -> str:
        """Write classifier and `training.json`; returns the figures on held-out folds."""
        config, backbone = _config(settings, spec), backbone_from(settings)
        require_readable(backbone, {(task, direction): texts for direction, texts in instructions.items()})
        trained = train_reward(episodes, task, backbone, spec, config, progress, instructions)
        save_classifier(trained.classifier, folder)
        replace_file(folder / "training.json", json.dumps(trained.report, indent=1).encode())
        threshold = trained.report["threshold"]
        return (
            f"{figures_table(trained.report['held_out'])}\n\n"
            f"Decision: {trained.classifier.frames} frames in a row above {threshold['value']:.3f}.\n"
            f"{trained.certificate.words(config.false_positive_rate)}"
        )

    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> VlmReward:
        """Load the classifier on the backbone of the settings."""
        threads = threads_from(settings)
        return VlmReward(load_classifier(folder, backbone_from(settings), spec), threads)

    def training_settings(self, settings: Mapping[str, Any], spec: RobotSpec) -> dict[str, Any]:
        """All of its own; the cameras as it looks through them."""
        config = asdict(_config(settings, spec))
        del config["camera"]  # the first of them
        return config

    def uncalibrated(self, trained: LoadedReward, probability: Float64) -> Float64:
        """The sigmoid of its logits; 0 stays 0, the probability of a frame that may not count.

        Raises:
            ConfigError: For a reward model of another kind.
        """
        if not isinstance(trained, VlmReward):
            raise ConfigError(f"Expected a success classifier, got {type(trained).__name__}.")
        return sigmoid(trained.classifier.calibration.logits(probability))


def _config(settings: Mapping[str, Any], spec: RobotSpec) -> RewardConfig:
    raw = {key: value for key, value in settings.items() if key not in MODEL_SETTINGS}
    return merged(RewardConfig(), raw | {"cameras": cameras_from(settings, spec)}, "reward")


def backbone_from(settings: Mapping[str, Any], device: str | None = None) -> Backbone:
    """The backbone of the group `reward`; the shipped one where it names none.

    Args:
        settings: Of the group.
        device: Torch device; None for that of the settings.
    """
    name, pretrained, allow_download = _model(settings)
    return load_backbone(name, pretrained, allow_download=allow_download, device=device or _device_from(settings))


def weights_from(settings: Mapping[str, Any]) -> WeightFile:
    """The weight file of the backbone of the group `reward`, which is not loaded."""
    return find_weights(*_model(settings))


def _model(settings: Mapping[str, Any]) -> tuple[str, str | None, bool]:
    allow_download = bool(settings.get("allow_download", False))
    return settings.get("backbone") or EMBEDDED, settings.get("pretrained"), allow_download


def threads_from(settings: Mapping[str, Any]) -> int:
    """Threads that the judge computes with on a CPU: `reward.threads`, 1 where it is not given; auto: half the cores.

    Raises:
        ConfigError: For anything else than auto or a whole number of at least 1.
    """
    given = settings.get("threads", 1)
    if given == AUTO:
        return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) // 2))
    return whole("reward.threads", given)


def _device_from(settings: Mapping[str, Any]) -> str:
    """The device of `reward.device`, cpu where it is not given; auto: a GPU where there is one.

    Raises:
        ConfigError: For an unknown one, or a GPU that torch doesn't find.
    """
    given = settings.get("device", "cpu")
    if given == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if given not in ("cpu", "cuda"):
        raise ConfigError(f"reward.device={given} is unknown; expected auto, cpu or cuda.")
    if given == "cuda" and not torch.cuda.is_available():
        raise ConfigError("reward.device=cuda, but torch finds no GPU here; `regrasp doctor` says why. Or give cpu.")
    return str(given)
