"""`Film`: the instruction scales and shifts the channels of a map (FiLM, arXiv 1709.07871, equation 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Film(nn.Module):
    """x -> (1 + scale(code)) x + shift(code), a channel at a time; the identity at the start of training.

    The layer's weights start at zero, as in BridgeData V2's `film_conditioning_layer.py`.
    """

    def __init__(self, code_size: int, channels: int) -> None:
        super().__init__()
        self.line = nn.Linear(code_size, 2 * channels)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Map (B, C, h, w) and instruction embedding (B, E) to (B, C, h, w)."""
        scale, shift = self.line(code)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(shift, x, 1 + scale)
