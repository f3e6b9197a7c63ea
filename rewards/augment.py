"""Random changes of training images: a shift of a few pixels, brightness, contrast and colour balance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, shift: int, strength: float, generator: torch.Generator) -> Tensor:
    """Change every image on its own.

    Args:
        images: uint8 (N, H, W, 3) RGB.
        shift: Largest shift along each axis, pixels; edges are repeated.
        strength: Largest relative change of brightness, contrast and each channel's gain.
        generator: Source of randomness.

    Returns:
        uint8 (N, H, W, 3).
    """
    count, height, width, _ = images.shape
    pixels = images.permute(0, 3, 1, 2).to(torch.float32)

    def factor(channels: int) -> Tensor:
        return 1 + strength * (2 * torch.rand(count, channels, 1, 1, generator=generator) - 1)

    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = ((pixels - mean) * factor(1) + mean * factor(1)) * (1 + (factor(3) - 1) / 2)
    if shift:
        padded = functional.pad(pixels, (shift,) * 4, mode="replicate")
        offsets = torch.randint(0, 2 * shift + 1, (2, count, 1, 1), generator=generator)
        rows = offsets[0] + torch.arange(height).view(1, height, 1)
        columns = offsets[1] + torch.arange(width).view(1, 1, width)
        index = torch.arange(count).view(count, 1, 1)
        pixels = padded.permute(0, 2, 3, 1)[index, rows, columns]
    else:
        pixels = pixels.permute(0, 2, 3, 1)
    return pixels.round_().clamp_(0, 255).to(torch.uint8)
