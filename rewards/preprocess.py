"""Camera images to what an image tower expects. Training and judging go through the same functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trajectories.errors import ConfigError


def resize(images: Tensor, size: int) -> Tensor:
    """uint8 (N, H, W, 3) RGB to float32 (N, 3, size, size), 0 ... 1.

    The whole view is kept: an image that is not square is squeezed, not cropped.

    Raises:
        ConfigError: For another shape or dtype.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != torch.uint8:
        raise ConfigError(f"Images must be uint8 (N, H, W, 3), got {images.dtype} {tuple(images.shape)}.")
    pixels = images.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
    if pixels.shape[-2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, size=(size, size), mode="bicubic", antialias=True).clamp_(0.0, 1.0)


def resize_stored(images: Tensor, size: int) -> Tensor:
    """uint8 (N, H, W, 3) to uint8 (N, size, size, 3), in parts, for a training set that stays in memory."""
    parts = [
        resize(images[start : start + 256], size).mul_(255.0).round_().to(torch.uint8).permute(0, 2, 3, 1)
        for start in range(0, len(images), 256)
    ]
    return torch.cat(parts) if parts else images


def standardise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Subtract the mean and divide by the deviation of each channel, in place; channels last in memory."""
    shift = torch.tensor(mean, device=pixels.device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=pixels.device).view(1, 3, 1, 1)
    return pixels.sub_(shift).div_(scale).contiguous(memory_format=torch.channels_last)
