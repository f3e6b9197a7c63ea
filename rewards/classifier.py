"""The success classifier: how likely is it that this image shows this instruction done?

Each member is a small network on [image, text, image * text] embeddings that starts from the backbone's own
zero-shot logit, optionally with its own copy of the tower's last block. Members differ in their seeds; their mean
decides.

Several cameras enter side by side: their embeddings, and their products with the text, are concatenated, so that the
network learns which camera shows what of the task. Logits of each camera, joined by a mean, would let one that sees
nothing hold back one that sees success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Logit of success from unit embeddings of C views and the instruction, and their zero-shot logit."""

    def __init__(self, width: int, hidden: int, views: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.scale = width**0.5
        self.hidden, self.views = hidden, views
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(nn.Linear((2 * views + 1) * width + 1, hidden), nn.ReLU(), nn.Dropout(dropout), last)
        self.zero_shot_weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: Tensor, text: Tensor, zero_shot: Tensor) -> Tensor:
        """(N, C * E), (N, E), (N,) -> logits (N,)."""
        product = self.scale**2 * image * text.repeat(1, self.views)
        parts = [self.scale * image, self.scale * text, product, zero_shot[:, None] / 10]
        return self.body(torch.cat(parts, dim=1)).squeeze(1) + self.zero_shot_weight * zero_shot


class Member(nn.Module):
    """One network of the ensemble: a head, and its own last block if that was fine-tuned."""

    def __init__(self, width: int, hidden: int, last_block: nn.Module | None, views: int = 1) -> None:
        """Embeddings of `width` numbers, `hidden` units, the last block for all of `views` cameras or None."""
        super().__init__()
        self.last_block = last_block
        self.head = SuccessHead(width, hidden, views)

    def forward(self, features: ImageFeatures, text: Tensor, zero_shot: Tensor) -> Tensor:
        """Logits (N,) for N images and N instruction embeddings (N, E)."""
        if self.last_block is None:
            return self.head(features.pooled, text, zero_shot)
        trunk = features.require_trunk()
        return self.head(self.last_block(trunk.flatten(0, 1)).reshape(len(trunk), -1), text, zero_shot)


@dataclass(frozen=True)
class ImageFeatures:
    """What the frozen backbone says about N instants, each seen by C cameras.

    Attributes:
        pooled: Unit embeddings float32 (N, C * E), camera by camera.
        trunk: Input of the last block (N, C, ...), or None where nothing needs it.
    """

    pooled: Tensor
    trunk: Tensor | None = None

    def __getitem__(self, rows: Tensor | NDArray[np.int64] | slice) -> ImageFeatures:
        """Some of the instants."""
        return ImageFeatures(self.pooled[rows], None if self.trunk is None else self.trunk[rows].float())

    def require_trunk(self) -> Tensor:
        """The trunk's output.

        Raises:
            ConfigError: When it was not computed.
        """
        if self.trunk is None:
            raise ConfigError("These image features were computed without the trunk; pass trunk=True.")
        return self.trunk


Views = UInt8 | Sequence[UInt8]
"""Images uint8 (N, H, W, 3), or a list of such of C cameras, whose sizes may differ."""


def image_features(backbone: Backbone, views: Views, trunk: bool) -> ImageFeatures:
    """Features of N instants, with the last block's input (float16) if `trunk`; all cameras in one batch."""
    cameras = [views] if isinstance(views, np.ndarray) else list(views)
    count, several = len(cameras[0]), len(cameras)

    def joined(encode: Callable[[UInt8], Tensor]) -> Tensor:
        if len({images.shape for images in cameras}) == 1:
            parts = encode(np.concatenate(cameras)) if several > 1 else encode(cameras[0])
        else:
            parts = torch.cat([encode(images) for images in cameras])
        return parts.reshape(several, count, *parts.shape[1:]).transpose(0, 1)

    pooled = joined(backbone.encode_images).reshape(count, -1)
    return ImageFeatures(pooled, joined(backbone.encode_trunk).half() if trunk else None)


def views_of(
    images: Mapping[str, UInt8], cameras: Sequence[str], rows: NDArray[np.int64] | slice | Sequence[int]
) -> list[UInt8]:
    """Some rows of images, camera by camera: of (T, H, W, 3) those frames; `slice(None)` takes all.

    Raises:
        ConfigError: Without one of the cameras.
    """
    missing = [camera for camera in cameras if camera not in images]
    if missing:
        raise ConfigError(
            f"The success classifier looks through camera {', '.join(map(repr, missing))}, but there is "
            f"{', '.join(images) or 'none'}. Give reward.cameras of these."
        )
    return [images[camera][rows] for camera in cameras]


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
        cameras: Names of the cameras that it looks through, in the order of the features.
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
    cameras: tuple[str, ...]
    require_open_gripper: bool
    spec: RobotSpec
    wordings: tuple[str, ...] = ()
    doubt: DoubtRules | None = None

    @property
    def camera(self) -> str:
        """Name of the first camera."""
        return self.cameras[0]

    @torch.no_grad()
    def logits(self, views: Views, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Uncalibrated logits float64 (N,) of N instants under N instructions.

        Args:
            views: Images uint8 (N, H, W, 3) of its camera, or such of each of `cameras`.
            instructions: One each.

        Raises:
            ConfigError: When the counts differ.
        """
        count = len(views if isinstance(views, np.ndarray) else views[0])
        if count != len(instructions):
            raise ConfigError(f"Got {count} images but {len(instructions)} instructions.")
        needs_trunk = any(member.last_block is not None for member in self.members)
        features = image_features(self.backbone, views, needs_trunk)
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

    def probabilities(self, views: Views, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N,); arguments as for `logits`."""
        return self.calibration(self.logits(views, instructions))
