"""`KeypointFrames`: frames with labels in hindsight, how they are split and scaled, and errors of what is predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from policies.perception.keypoint_labels import PICK_SIZE, POINT_SIZE
from trajectories.errors import ConfigError
from trajectories.types import Float32, Int64, UInt8


@dataclass(frozen=True)
class KeypointFrames:
    """N labelled frames of several episodes; those that differ in their wording alone share an image.

    Attributes:
        images: uint8 (M, S, S, 3).
        image: int64 (N,) rows of `images`.
        proprio: float32 (N, P), normalised before training.
        instruction: int64 (N,) rows of `text`.
        text: float32 (K, E) instruction embeddings.
        values: float32 (N, 8), see `KeypointLabels`.
        mask: float32 (N, 8).
        episode: int64 (N,) number of the episode each frame is from.
    """

    images: UInt8
    image: Int64
    proprio: Float32
    instruction: Int64
    text: Float32
    values: Float32
    mask: Float32
    episode: Int64

    def __len__(self) -> int:
        """N."""
        return len(self.image)

    def images_of(self, rows: Int64) -> UInt8:
        """uint8 (R, S, S, 3): the images of these of the N frames."""
        return self.images[self.image[rows]]


@dataclass(frozen=True)
class KeypointErrors:
    """Mean distances on frames that were not trained on, in cm and degrees; NaN where there was no label."""

    pick_cm: float
    place_cm: float
    yaw_deg: float

    def to_dict(self) -> dict[str, float]:
        """Plain JSON types."""
        return {"pick_cm": self.pick_cm, "place_cm": self.place_cm, "yaw_deg": self.yaw_deg}


def split_episodes(episode: Int64, holdout: float, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Indices of training and of held-out frames; whole episodes go to one side (at least one to each if two)."""
    names = rng.permutation(np.unique(episode))
    count = min(max(1, round(holdout * len(names))), len(names) - 1) if holdout > 0 else 0
    held = np.isin(episode, names[:count])
    return np.flatnonzero(~held), np.flatnonzero(held)


def errors_of(predicted: Float32, values: Float32, mask: Float32) -> KeypointErrors:
    """Mean errors of labels (N, 8) where the mask is one."""
    pick = np.linalg.norm((predicted - values)[:, :POINT_SIZE], axis=1)
    place = np.linalg.norm((predicted - values)[:, PICK_SIZE:], axis=1)
    turn = np.arctan2(predicted[:, 3], predicted[:, 4]) - np.arctan2(values[:, 3], values[:, 4])
    yaw = np.abs((turn + np.pi) % (2 * np.pi) - np.pi) / 2
    return KeypointErrors(
        pick_cm=_mean(100 * pick, mask[:, 0]),
        place_cm=_mean(100 * place, mask[:, PICK_SIZE]),
        yaw_deg=_mean(np.degrees(yaw), mask[:, 3]),
    )


def require_labels(frames: KeypointFrames) -> None:
    """Refuse to learn from frames of which none has a label.

    Raises:
        ConfigError: None has.
    """
    if len(frames) == 0 or not frames.mask.any():
        raise ConfigError(
            "No frame has a keypoint label: no episode shows the gripper closing on something. "
            "Record demonstrations or play in which objects are grasped and released, or see without keypoints, by "
            "an image encoder (encoder=clip, cnn, resnet) with encoder.keypoints=false."
        )


class Scaled(Protocol):
    """Something that gives labels about zero mean and unit deviation."""

    label_mean: Tensor
    label_scale: Tensor


def set_label_scale(net: Scaled, frames: KeypointFrames, rows: Int64) -> None:
    """Mean of each label; one deviation for the positions of pick and place, 0.7 for sine and cosine."""
    weight = frames.mask[rows]
    count = np.maximum(weight.sum(axis=0), 1.0)
    mean = (frames.values[rows] * weight).sum(axis=0) / count
    variance = (np.square(frames.values[rows] - mean) * weight).sum(axis=0) / count
    scale = np.empty_like(mean)
    for part in (slice(0, POINT_SIZE), slice(PICK_SIZE, None)):
        scale[part] = max(math.sqrt(float(variance[part].max())), 0.01)
    mean[POINT_SIZE:PICK_SIZE], scale[POINT_SIZE:PICK_SIZE] = 0.0, 0.7
    net.label_mean.copy_(torch.from_numpy(mean))
    net.label_scale.copy_(torch.from_numpy(scale))


def _mean(errors: Float32, mask: Float32) -> float:
    return float(errors[mask > 0].mean()) if (mask > 0).any() else math.nan
