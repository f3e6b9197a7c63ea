"""`KeypointNet`: where to pick and where to place, from one image, the instruction and proprioception.

A small CNN whose normalised channels are modulated by the instruction (FiLM, arXiv 1709.07871), so that of several
objects the one that is spoken of is found (without the normalisation one start in four was stuck at three times the
error); a spatial softmax (arXiv 1504.00702) turns each channel into a place in the image, and
a small network turns these places and the proprioception into metres. It is trained on labels that a robot finds in
its own proprioception (`policies.perception.keypoint_labels`), then frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.perception.keypoint_labels import KEYPOINT_SIZE
from trajectories.errors import ConfigError
from trajectories.settings import build

IMAGE_STRIDE = {64: 2, 96: 3, 128: 4}
"""Image side in pixels -> stride of the first convolution: the maps are 32 x 32 at each size."""
FILM_WIDTH = 32
NORM_GROUPS = 4


@dataclass(frozen=True)
class KeypointNetConfig:
    """Sizes of the network; part of its checkpoint.

    Attributes:
        image_size: Side of the square image in pixels: 64, 96 or 128.
        proprio_size: Number of proprioception entries.
        text_size: Width of the instruction embedding.
        channels: Output channels of the four convolutions.
        hidden: Widths of the two hidden layers behind the spatial softmax.
    """

    image_size: int = 96
    proprio_size: int = 13
    text_size: int = 128
    channels: tuple[int, int, int, int] = (24, 32, 32, 32)
    hidden: tuple[int, int] = (128, 64)

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_STRIDE:
            raise ConfigError(
                f"The keypoint network takes square images of {', '.join(map(str, IMAGE_STRIDE))} pixels, "
                f"not {self.image_size}: set the camera's size to one of them."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "channels": list(self.channels), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> KeypointNetConfig:
        """Inverse of `to_dict`; missing keys keep their defaults.

        Raises:
            ConfigError: For an unknown key or a value of another type.
        """
        return cast(KeypointNetConfig, build(cls, raw, "keypoint network"))


class KeypointNet(nn.Module):
    """Image, normalised proprioception and instruction embedding -> the eight numbers of `KeypointLabels`."""

    label_mean: Tensor
    label_scale: Tensor
    grid_x: Tensor
    grid_y: Tensor

    def __init__(self, config: KeypointNetConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third, fourth = config.channels
        stride = IMAGE_STRIDE[config.image_size]
        self.stem = nn.Conv2d(3, first, 2 * stride + 1, stride=stride, padding=stride)
        self.down = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(second, third, 3, padding=1)
        self.last = nn.Conv2d(third, fourth, 3, padding=1)
        self.speak = nn.Linear(config.text_size, FILM_WIDTH)
        self.film = nn.Linear(FILM_WIDTH, 2 * (second + third))
        nn.init.normal_(self.film.weight, std=0.3)
        nn.init.zeros_(self.film.bias)
        self.sharpness = nn.Parameter(torch.ones(fourth))
        features = 3 * fourth + config.proprio_size + FILM_WIDTH
        self.head = nn.Sequential(
            nn.Linear(features, config.hidden[0]),
            nn.ReLU(),
            nn.Linear(config.hidden[0], config.hidden[1]),
            nn.ReLU(),
            nn.Linear(config.hidden[1], KEYPOINT_SIZE),
        )
        self.register_buffer("label_mean", torch.zeros(KEYPOINT_SIZE))
        self.register_buffer("label_scale", torch.ones(KEYPOINT_SIZE))
        side = 16
        line = torch.linspace(-1.0, 1.0, side)
        self.register_buffer("grid_x", line.repeat(side), persistent=False)
        self.register_buffer("grid_y", line.repeat_interleave(side), persistent=False)

    def normalised(self, images: Tensor, proprio: Tensor, text: Tensor) -> Tensor:
        """Keypoints in the units that the loss is taken in.

        Args:
            images: float32 (N, 3, S, S) in [-0.5, 0.5].
            proprio: float32 (N, P), normalised.
            text: float32 (N, E) instruction embeddings.

        Returns:
            float32 (N, 8), about zero mean and unit deviation.
        """
        words = torch.relu(self.speak(text))
        scale, shift = self.film(words)[:, :, None, None].chunk(2, dim=1)
        second = self.down.out_channels
        x = torch.relu(self.stem(images))
        x = functional.group_norm(self.down(x), NORM_GROUPS)
        x = torch.relu(x * (1 + scale[:, :second]) + shift[:, :second])
        x = functional.group_norm(self.middle(x), NORM_GROUPS)
        x = torch.relu(x * (1 + scale[:, second:]) + shift[:, second:])
        x = self.last(x).flatten(2)
        attention = functional.softmax(x * self.sharpness[:, None], dim=2)
        places = torch.cat([attention @ self.grid_x, attention @ self.grid_y], dim=1)
        peaks = torch.tanh((attention * x).sum(dim=2))
        return self.head(torch.cat([places, peaks, proprio, words], dim=1))

    def forward(self, images: Tensor, proprio: Tensor, text: Tensor) -> Tensor:
        """Keypoints in metres (and sine and cosine of twice the yaw); arguments as `normalised`, float32 (N, 8)."""
        return self.normalised(images, proprio, text) * self.label_scale + self.label_mean


def as_input(images: Tensor) -> Tensor:
    """uint8 (N, S, S, 3) -> float32 (N, 3, S, S) in [-0.5, 0.5], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255.0).sub_(0.5)
