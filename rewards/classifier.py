"""The success classifier: how likely is it that this image shows this instruction done?

Each member is a small network on [image, text, image * text] embeddings that starts from the backbone's own
zero-shot logit, optionally with its own copy of the tower's last block. Members were trained on different
episodes; their mean decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rewards.backbone import Backbone
from rewards.calibration import Calibration, Threshold
from rewards.temporal import TimeNet
from rewards.windows import Windows, window_rows
from trajectories.errors import ConfigError
from trajectories.types import Episode, Float32, RobotSpec, UInt8


class SuccessHead(nn.Module):
    """Logit of success from unit embeddings of image and instruction, and the pair's zero-shot logit."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.scale = width**0.5
        self.hidden = hidden
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(nn.Linear(3 * width + 1, hidden), nn.ReLU(), nn.Dropout(dropout), last)
        self.zero_shot_weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: Tensor, text: Tensor, zero_shot: Tensor) -> Tensor:
        """(N, E), (N, E), (N,) -> logits (N,)."""
        product = self.scale**2 * image * text
        parts = [self.scale * image, self.scale * text, product, zero_shot[:, None] / 10]
        return self.body(torch.cat(parts, dim=1)).squeeze(1) + self.zero_shot_weight * zero_shot


class Member(nn.Module):
    """One network of the ensemble: a head, and its own last block if that was fine-tuned."""

    def __init__(self, width: int, hidden: int, last_block: nn.Module | None) -> None:
        super().__init__()
        self.last_block = last_block
        self.head = SuccessHead(width, hidden)

    def forward(self, features: ImageFeatures, text: Tensor, zero_shot: Tensor) -> Tensor:
        """Logits (N,) for N images and N instruction embeddings (N, E)."""
        image = features.pooled if self.last_block is None else self.last_block(features.require_trunk())
        return self.head(image, text, zero_shot)


@dataclass(frozen=True)
class Ensemble:
    """What judges: networks whose mean logit counts, and what sees time, if anything.

    Attributes:
        members: In evaluation mode.
        time: Corrects their mean by the last frames, and says how far the task has come; None for judges that look at
            each frame alone.
    """

    members: tuple[Member, ...]
    time: TimeNet | None = None

    @property
    def needs_trunk(self) -> bool:
        """Whether a member has its own last block."""
        return any(member.last_block is not None for member in self.members)

    def judge(self, features: ImageFeatures, texts: Tensor, zero_shot: Tensor) -> tuple[Tensor, Tensor]:
        """Logit and progress, (N,) both, for N images and texts (N, E); the progress is NaN without `time`."""
        logits = torch.stack([member(features, texts, zero_shot) for member in self.members]).mean(dim=0)
        if self.time is None:
            return logits, torch.full_like(logits, torch.nan)
        correction, progress = self.time(features.require_windows(), texts)
        return logits + correction, torch.sigmoid(progress)


@dataclass(frozen=True)
class ImageFeatures:
    """What the frozen backbone says about N images.

    Attributes:
        pooled: Unit embeddings float32 (N, E).
        trunk: Input of the last block (N, ...), or None where nothing needs it.
        windows: The last frames up to each of them, or None where each is looked at alone.
    """

    pooled: Tensor
    trunk: Tensor | None = None
    windows: Windows | None = None

    def __getitem__(self, rows: Tensor | NDArray[np.int64] | slice) -> ImageFeatures:
        """Some of the images."""
        trunk = None if self.trunk is None else self.trunk[rows].float()
        return ImageFeatures(self.pooled[rows], trunk, None if self.windows is None else self.windows[rows])

    def require_trunk(self) -> Tensor:
        """The trunk's output.

        Raises:
            ConfigError: When it was not computed.
        """
        if self.trunk is None:
            raise ConfigError("These image features were computed without the trunk; pass trunk=True.")
        return self.trunk

    def require_windows(self) -> Windows:
        """The windows.

        Raises:
            ConfigError: There are none.
        """
        if self.windows is None:
            raise ConfigError("This success classifier looks at the last frames of an episode; give it windows.")
        return self.windows


def image_features(backbone: Backbone, images: UInt8 | Tensor, trunk: bool) -> ImageFeatures:
    """Features of uint8 (N, H, W, 3) images, with the last block's input (float16) if `trunk`."""
    pooled = backbone.encode_images(images)
    return ImageFeatures(pooled, backbone.encode_trunk(images).half() if trunk else None)


def alone(features: ImageFeatures, proprio: Tensor) -> ImageFeatures:
    """The same images, each as the first frame of an episode; proprioception (N, P)."""
    rows = torch.arange(len(proprio), device=features.pooled.device)[:, None]
    return ImageFeatures(features.pooled, features.trunk, Windows(features.pooled, proprio, rows))


def in_order(features: ImageFeatures, proprio: Tensor, window: int) -> ImageFeatures:
    """The same images as the frames of one episode, from its first one; proprioception (N, P)."""
    rows = torch.from_numpy(window_rows(np.arange(len(proprio)), window)).to(features.pooled.device)
    return ImageFeatures(features.pooled, features.trunk, Windows(features.pooled, proprio, rows))


def frames_that_count(proprio: Float32, spec: RobotSpec, require_open_gripper: bool) -> NDArray[np.bool_]:
    """Whether frames with proprioception (N, P) may count towards done: bool (N,); NaN is no closed gripper.

    Raises:
        ConfigError: When an open gripper is required, but the robot does not say whether it is.
    """
    if not require_open_gripper:
        return np.ones(len(proprio), dtype=bool)
    if "gripper_command" not in spec.proprio:
        raise ConfigError(
            "require_open_gripper needs a robot whose proprioception has 'gripper_command'; this one has "
            f"{', '.join(spec.proprio)}. Set reward.require_open_gripper=false."
        )
    return ~(proprio[:, spec.proprio.index("gripper_command")] <= 0)


@dataclass(frozen=True)
class SuccessClassifier:
    """An instruction-conditioned, calibrated success classifier.

    Attributes:
        backbone: The frozen vision-language model.
        members: Networks whose mean logit counts; in evaluation mode.
        calibration: Logit to probability.
        threshold: Chosen on held-out episodes; `threshold.value` is what `frames` consecutive probabilities
            must reach.
        frames: Consecutive frames that a decision needs.
        camera: Name of the camera that it looks through.
        require_open_gripper: Frames with the gripper commanded closed never count.
        spec: The robot that it was trained for.
        wordings: Instructions of its task that it was calibrated and tried under; empty for a classifier of a version
            that did not note them.
        time: Corrects the members' mean by the last frames, and says how far the task has come; None where each frame
            is looked at alone.
    """

    backbone: Backbone
    members: tuple[Member, ...]
    calibration: Calibration
    threshold: Threshold
    frames: int
    camera: str
    require_open_gripper: bool
    spec: RobotSpec
    wordings: tuple[str, ...] = ()
    time: TimeNet | None = None

    @property
    def ensemble(self) -> Ensemble:
        """What judges, without its rules."""
        return Ensemble(self.members, self.time)

    @torch.no_grad()
    def logits(self, images: UInt8, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Uncalibrated logits float64 (N,) of N uint8 (H, W, 3) images under N instructions, each image by itself.

        Raises:
            ConfigError: When the counts differ.
        """
        if len(images) != len(instructions):
            raise ConfigError(f"Got {len(images)} images but {len(instructions)} instructions.")
        features = image_features(self.backbone, images, self.ensemble.needs_trunk)
        if self.time is not None:
            unknown = torch.full((len(images), len(self.spec.proprio)), torch.nan, device=features.pooled.device)
            features = alone(features, unknown)
        return self.judge(features[:], self.backbone.encode_text(instructions))[0]

    @torch.no_grad()
    def judge(self, features: ImageFeatures, texts: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Uncalibrated logits and progress float64 (N,) from features and text embeddings (N, E); see `Ensemble`."""
        zero_shot = self.backbone.zero_shot(features.pooled, texts)
        logits, progress = self.ensemble.judge(features, texts, zero_shot)
        return logits.double().cpu().numpy(), progress.double().cpu().numpy()

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) count towards done: bool (N,)."""
        return frames_that_count(proprio, self.spec, self.require_open_gripper)

    def probabilities(self, images: UInt8, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N,); arguments as for `logits`."""
        return self.calibration(self.logits(images, instructions))

    def of_episode(self, episode: Episode) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated probabilities and progress float64 (T + 1,) of an episode's frames, seen one after the other."""
        images = episode.images[self.camera]
        features = image_features(self.backbone, images, self.ensemble.needs_trunk)
        if self.time is not None:
            proprio = torch.from_numpy(np.asarray(episode.proprio, np.float32)).to(features.pooled.device)
            features = in_order(features, proprio, self.time.window)
        logits, progress = self.judge(features[:], self.backbone.encode_text([episode.instruction] * len(images)))
        return self.calibration(logits), progress
