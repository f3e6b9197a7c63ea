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
from rewards.doubt import DoubtRules
from trajectories.errors import ConfigError
from trajectories.types import Float32, RobotSpec, UInt8


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
class ImageFeatures:
    """What the frozen backbone says about N images.

    Attributes:
        pooled: Unit embeddings float32 (N, E).
        trunk: Input of the last block (N, ...), or None where nothing needs it.
    """

    pooled: Tensor
    trunk: Tensor | None = None

    def __getitem__(self, rows: Tensor | NDArray[np.int64] | slice) -> ImageFeatures:
        """Some of the images."""
        return ImageFeatures(self.pooled[rows], None if self.trunk is None else self.trunk[rows].float())

    def require_trunk(self) -> Tensor:
        """The trunk's output.

        Raises:
            ConfigError: When it was not computed.
        """
        if self.trunk is None:
            raise ConfigError("These image features were computed without the trunk; pass trunk=True.")
        return self.trunk


def image_features(backbone: Backbone, images: UInt8 | Tensor, trunk: bool) -> ImageFeatures:
    """Features of uint8 (N, H, W, 3) images, with the last block's input (float16) if `trunk`."""
    pooled = backbone.encode_images(images)
    return ImageFeatures(pooled, backbone.encode_trunk(images).half() if trunk else None)


def member_logits(members: Sequence[Member], features: ImageFeatures, texts: Tensor, zero_shot: Tensor) -> Tensor:
    """What each of M members says: logits (M, N); texts (N, E), zero-shot logits (N,)."""
    return torch.stack([member(features, texts, zero_shot) for member in members])


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
        doubt: When it is unsure; None for a classifier of a version that was never.
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
    doubt: DoubtRules | None = None

    @torch.no_grad()
    def logits(self, images: UInt8, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Uncalibrated logits float64 (N,) of N uint8 (H, W, 3) images under N instructions.

        Raises:
            ConfigError: When the counts differ.
        """
        if len(images) != len(instructions):
            raise ConfigError(f"Got {len(images)} images but {len(instructions)} instructions.")
        needs_trunk = any(member.last_block is not None for member in self.members)
        features = image_features(self.backbone, images, needs_trunk)
        return self.feature_logits(features[:], self.backbone.encode_text(instructions))

    def feature_logits(self, features: ImageFeatures, texts: Tensor) -> NDArray[np.float64]:
        """The same from features and text embeddings (N, E): the mean of the members."""
        return self.member_logits(features, texts).mean(dim=0).double().cpu().numpy()

    @torch.no_grad()
    def member_logits(self, features: ImageFeatures, texts: Tensor) -> Tensor:
        """Uncalibrated logits (M, N) of each of M members, from features and text embeddings (N, E)."""
        zero_shot = self.backbone.zero_shot(features.pooled, texts)
        return member_logits(self.members, features, texts, zero_shot)

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) count towards done: bool (N,)."""
        return frames_that_count(proprio, self.spec, self.require_open_gripper)

    def probabilities(self, images: UInt8, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N,); arguments as for `logits`."""
        return self.calibration(self.logits(images, instructions))
