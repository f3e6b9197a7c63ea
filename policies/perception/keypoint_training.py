"""Training of the keypoint network on frames with hindsight labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from policies.perception.keypoint_labels import PICK_SIZE, POINT_SIZE
from policies.perception.keypoints import KeypointNet, KeypointNetConfig, as_input
from trajectories.errors import ConfigError
from trajectories.types import Float32, Int64, UInt8

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, steps done and steps in all."""


@dataclass(frozen=True)
class KeypointConfig:
    """Settings of the encoder's training.

    Attributes:
        steps: Gradient steps.
        batch: Frames a step.
        learning_rate: Peak of the cosine schedule.
        weight_decay: Of AdamW.
        brightness: Largest relative change of brightness.
        colour: Largest relative change of each colour channel.
        shift: Largest shift of the images in pixels; one pixel is about 4 mm on the table, so that only a camera
            that is bumped often earns it.
        holdout: Share of the episodes kept for measuring the error.
    """

    steps: int = 800
    batch: int = 48
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    brightness: float = 0.15
    colour: float = 0.08
    shift: int = 0
    holdout: float = 0.05


@dataclass(frozen=True)
class KeypointFrames:
    """N labelled frames of several episodes.

    Attributes:
        images: uint8 (N, S, S, 3).
        proprio: float32 (N, P), normalised before training.
        instruction: int64 (N,) rows of `text`.
        text: float32 (K, E) instruction embeddings.
        values: float32 (N, 8), see `KeypointLabels`.
        mask: float32 (N, 8).
        episode: int64 (N,) number of the episode each frame is from.
    """

    images: UInt8
    proprio: Float32
    instruction: Int64
    text: Float32
    values: Float32
    mask: Float32
    episode: Int64

    def __len__(self) -> int:
        """N."""
        return len(self.images)


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


def train_keypoints(
    frames: KeypointFrames, config: KeypointConfig, seed: int, progress: Progress | None = None
) -> tuple[KeypointNet, KeypointErrors]:
    """Train a keypoint network.

    Loss: smooth L1 of the normalised labels where the mask is one. Positions share one scale for all axes, so that
    an error in z counts as much as one in x.

    Returns:
        The network, in evaluation mode, and its errors on held-out episodes.

    Raises:
        ConfigError: When no frame has a label.
    """
    if len(frames) == 0 or not frames.mask.any():
        raise ConfigError(
            "No frame has a keypoint label: no episode shows the gripper closing on something. "
            "Record demonstrations or play in which objects are grasped and released."
        )
    rng = np.random.default_rng(seed)
    train, held = split_episodes(frames.episode, config.holdout, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = KeypointNet(KeypointNetConfig(frames.images.shape[1], frames.proprio.shape[1], frames.text.shape[1]))
    _set_label_scale(net, frames, train)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _schedule(step, config.steps))
    text = torch.from_numpy(frames.text)
    mean, scale = net.label_mean, net.label_scale
    for step in range(config.steps):
        rows = train[rng.integers(len(train), size=config.batch)]
        images = augment(frames.images[rows], config, rng)
        target = (torch.from_numpy(frames.values[rows]) - mean) / scale
        mask = torch.from_numpy(frames.mask[rows])
        predicted = net.normalised(
            images, torch.from_numpy(frames.proprio[rows]), text[torch.from_numpy(frames.instruction[rows])]
        )
        error = functional.smooth_l1_loss(predicted, target, reduction="none", beta=0.1)
        loss = (error * mask).sum() / mask.sum().clamp(min=1.0)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress("image encoder", step + 1, config.steps)
    net.eval()
    return net, measure(net, frames, held)


def measure(net: KeypointNet, frames: KeypointFrames, rows: Int64, batch: int = 256) -> KeypointErrors:
    """Mean errors on the given frames."""
    if len(rows) == 0:
        return KeypointErrors(math.nan, math.nan, math.nan)
    text = torch.from_numpy(frames.text)
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            parts.append(
                net(
                    as_input(torch.from_numpy(frames.images[part])),
                    torch.from_numpy(frames.proprio[part]),
                    text[torch.from_numpy(frames.instruction[part])],
                ).numpy()
            )
    predicted, values, mask = np.concatenate(parts), frames.values[rows], frames.mask[rows]
    pick = np.linalg.norm((predicted - values)[:, :POINT_SIZE], axis=1)
    place = np.linalg.norm((predicted - values)[:, PICK_SIZE:], axis=1)
    turn = np.arctan2(predicted[:, 3], predicted[:, 4]) - np.arctan2(values[:, 3], values[:, 4])
    yaw = np.abs((turn + np.pi) % (2 * np.pi) - np.pi) / 2
    return KeypointErrors(
        pick_cm=_mean(100 * pick, mask[:, 0]),
        place_cm=_mean(100 * place, mask[:, PICK_SIZE]),
        yaw_deg=_mean(np.degrees(yaw), mask[:, 3]),
    )


def augment(images: UInt8, config: KeypointConfig, rng: np.random.Generator) -> Tensor:
    """Change brightness and colour of each image and shift all by the same whole pixels.

    Args:
        images: uint8 (N, S, S, 3).
        config: How much.
        rng: Draws the changes.

    Returns:
        float32 (N, 3, S, S) around [-0.5, 0.5], channels last in memory.
    """
    count = len(images)
    gain = 1.0 + rng.uniform(-config.brightness, config.brightness, (count, 1))
    gain = gain * (1.0 + rng.uniform(-config.colour, config.colour, (count, 3)))
    offset = rng.uniform(-config.colour, config.colour, (count, 3)) / 2 - 0.5
    if config.shift > 0:
        down, right = rng.integers(-config.shift, config.shift + 1, size=2).tolist()
        images = np.roll(images, (down, right), axis=(1, 2))
    factor = torch.from_numpy((gain / 255.0).astype(np.float32))[:, None, None]
    added = torch.from_numpy(offset.astype(np.float32))[:, None, None]
    return torch.from_numpy(images).float().mul_(factor).add_(added).permute(0, 3, 1, 2)


def _set_label_scale(net: KeypointNet, frames: KeypointFrames, rows: Int64) -> None:
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


def _schedule(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def _mean(errors: Float32, mask: Float32) -> float:
    return float(errors[mask > 0].mean()) if (mask > 0).any() else math.nan
