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
from rewards.temporal import TimeNet
from rewards.trust import mixed
from rewards.windows import Windows, window_rows
from trajectories.errors import ConfigError
from trajectories.types import Episode, Float32, RobotSpec, UInt8


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
class Ensemble:
    """What judges: networks whose mean logit counts, and what sees time, if anything.

    Attributes:
        members: In evaluation mode.
        time: Corrects their mean by the last frames, and says how far the task has come; None for judges that look at
            each frame alone.
        trust: How far what they learned counts against the zero-shot logit (`rewards.trust`).
    """

    members: tuple[Member, ...]
    time: TimeNet | None = None
    trust: float = 1.0

    @property
    def needs_trunk(self) -> bool:
        """Whether a member has its own last block."""
        return any(member.last_block is not None for member in self.members)

    def judge(self, features: ImageFeatures, texts: Tensor, zero_shot: Tensor) -> tuple[Tensor, Tensor]:
        """Logit and progress, (N,) both, for N images and texts (N, E); the progress is NaN without `time`."""
        logits, progress = self.judge_each(features, texts, zero_shot)
        return logits.mean(dim=0), progress

    def judge_each(self, features: ImageFeatures, texts: Tensor, zero_shot: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the logits (M, N) of each member; `time` corrects all alike."""
        logits = torch.stack([member(features, texts, zero_shot) for member in self.members])
        progress = torch.full_like(logits[0], torch.nan)
        if self.time is not None:
            correction, come = self.time(features.require_windows(), texts)
            logits, progress = logits + correction, torch.sigmoid(come)
        return mixed(logits, zero_shot, self.trust), progress


@dataclass(frozen=True)
class ImageFeatures:
    """What the frozen backbone says about N instants, each seen by C cameras.

    Attributes:
        pooled: Unit embeddings float32 (N, C * E), camera by camera.
        trunk: Input of the last block (N, C, ...), or None where nothing needs it.
        windows: The last frames up to each of them, or None where each is looked at alone.
    """

    pooled: Tensor
    trunk: Tensor | None = None
    windows: Windows | None = None

    def __getitem__(self, rows: Tensor | NDArray[np.int64] | slice) -> ImageFeatures:
        """Some of the instants."""
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
        cameras: Names of the cameras that it looks through, in the order of the features.
        require_open_gripper: Frames with the gripper commanded closed never count.
        spec: The robot that it was trained for.
        wordings: Instructions of its task that it was calibrated and tried under; empty for a classifier of a version
            that did not note them.
        time: Corrects the members' mean by the last frames, and says how far the task has come; None where each frame
            is looked at alone.
        doubt: When it is unsure; None for a classifier of a version that was never.
        trust: How far what was learned counts against the backbone's zero-shot logit, see `rewards.trust`.
        home: Logit to probability where the arm is home and looks at what it left; None: as anywhere.
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
    time: TimeNet | None = None
    doubt: DoubtRules | None = None
    trust: float = 1.0
    home: Calibration | None = None

    @property
    def camera(self) -> str:
        """Name of the first camera."""
        return self.cameras[0]

    @property
    def ensemble(self) -> Ensemble:
        """What judges, without its rules."""
        return Ensemble(self.members, self.time, self.trust)

    @torch.no_grad()
    def logits(self, views: Views, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Uncalibrated logits float64 (N,) of N instants under N instructions, each instant by itself.

        Args:
            views: Images uint8 (N, H, W, 3) of its camera, or such of each of `cameras`.
            instructions: One each.

        Raises:
            ConfigError: When the counts differ.
        """
        count = len(views if isinstance(views, np.ndarray) else views[0])
        if count != len(instructions):
            raise ConfigError(f"Got {count} images but {len(instructions)} instructions.")
        features = image_features(self.backbone, views, self.ensemble.needs_trunk)
        if self.time is not None:
            unknown = torch.full((count, len(self.spec.proprio)), torch.nan, device=features.pooled.device)
            features = alone(features, unknown)
        return self.judge(features[:], self.backbone.encode_text(instructions))[0]

    def judge(self, features: ImageFeatures, texts: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Uncalibrated logits and progress float64 (N,) from features and text embeddings (N, E); see `Ensemble`."""
        each, progress = self.judge_each(features, texts)
        return each.mean(dim=0).double().cpu().numpy(), progress.double().cpu().numpy()

    @torch.no_grad()
    def judge_each(self, features: ImageFeatures, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Uncalibrated logits (M, N) of each member, and the progress (N,)."""
        return self.ensemble.judge_each(features, texts, self.backbone.zero_shot(features.pooled, texts))

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) count towards done: bool (N,)."""
        return frames_that_count(proprio, self.spec, self.require_open_gripper)

    def probabilities(self, views: Views, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N,); arguments as for `logits`."""
        return self.calibration(self.logits(views, instructions))

    def of_episode(self, episode: Episode) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated probabilities and progress float64 (T + 1,) of an episode's frames, seen one after the other."""
        views = views_of(episode.images, self.cameras, slice(None))
        features = image_features(self.backbone, views, self.ensemble.needs_trunk)
        if self.time is not None:
            proprio = torch.from_numpy(np.asarray(episode.proprio, np.float32)).to(features.pooled.device)
            features = in_order(features, proprio, self.time.window)
        texts = self.backbone.encode_text([episode.instruction] * len(views[0]))
        logits, progress = self.judge(features[:], texts)
        return self.calibration(logits), progress
