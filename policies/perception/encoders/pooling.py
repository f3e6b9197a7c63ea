"""How a map of the image becomes a vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.perception.encoders.config import Pooling


class SpatialSoftmax(nn.Module):
    """Each channel's expected place in the image (arXiv 1504.00702, section 4.2).

    Coordinates go from -1 to 1, first and last row and column included; a learned sharpness a channel (1 at the start)
    multiplies the activations before the softmax.
    """

    grid: Tensor

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = 2 * channels
        self.sharpness = nn.Parameter(torch.ones(channels))
        x = torch.linspace(-1.0, 1.0, width).repeat(height)
        y = torch.linspace(-1.0, 1.0, height).repeat_interleave(width)
        self.register_buffer("grid", torch.stack([x, y], 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 2 C): x of each channel, then y of each."""
        places = x.permute(0, 2, 3, 1).flatten(1, 2)
        attention = torch.softmax(places * self.sharpness, 1)
        return torch.einsum("bpc,pk->bkc", attention, self.grid).flatten(1)


class SpatialEmbeddings(nn.Module):
    """K learned weightings of the map's places for each channel: SERL's `SpatialLearnedEmbeddings`, K = 8 as there."""

    def __init__(self, channels: int, height: int, width: int, count: int = 8) -> None:
        """Random weights that keep the deviation of independent activations."""
        super().__init__()
        self.size = channels * count
        places = height * width
        self.weight = nn.Parameter(torch.randn(channels, places, count) / places**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C K): the K sums of each channel."""
        return torch.einsum("bcp,cpk->bck", x.flatten(2), self.weight).flatten(1)


class Flatten(nn.Module):
    """The whole map, places in rows, channels fastest (which channels-last memory gives without a copy)."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = channels * height * width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, h w C)."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Mean(nn.Module):
    """Each channel's mean over the map."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C)."""
        return x.mean((2, 3))


_POOLINGS: dict[Pooling, type[SpatialSoftmax] | type[SpatialEmbeddings] | type[Flatten] | type[Mean]] = {
    "flatten": Flatten,
    "spatial_softmax": SpatialSoftmax,
    "embeddings": SpatialEmbeddings,
    "mean": Mean,
}


def make_pooling(
    name: Pooling, channels: int, height: int, width: int
) -> SpatialSoftmax | SpatialEmbeddings | Flatten | Mean:
    """The pooling of that name for maps (B, channels, height, width)."""
    return _POOLINGS[name](channels, height, width)
