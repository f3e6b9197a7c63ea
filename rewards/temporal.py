"""A small transformer over the last frames: a correction of the success logit, and how far the task has come."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rewards.windows import Windows

_WIDTH, _HEADS, _LAYERS, _DROPOUT = 48, 4, 2, 0.1
_LARGEST = 5.0
"""Scaled proprioception is clipped to +- this."""
_BLIND = 0.5
"""Share of the training windows whose proprioception is hidden: success is not to be read off the arm's pose alone."""


class TimeNet(nn.Module):
    """Attends from the instruction and the last K frames to the newest one.

    Frames are embedded as [image, image * text, proprioception] and by their age. Like ReWiND's network (arXiv
    2505.10911, section 3.2) it learns nothing of the number of frames since the beginning, so that progress must be
    read from what is seen. Its correction of the success logit is 0 before training.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, proprio: int, window: int, views: int = 1) -> None:
        """For embeddings of size `width` of so many cameras, entries of proprioception, and windows of K frames."""
        super().__init__()
        self.scale = width**0.5
        self.window, self.views = window, views
        self.register_buffer("mean", torch.zeros(proprio))
        self.register_buffer("deviation", torch.ones(proprio))
        self.frame = nn.Linear(2 * views * width + proprio + 1, _WIDTH)
        self.text = nn.Linear(width, _WIDTH)
        self.age = nn.Parameter(0.02 * torch.randn(window, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 2 * _WIDTH, _DROPOUT, batch_first=True, norm_first=True, activation="gelu"
        )
        self.body = nn.TransformerEncoder(layer, _LAYERS, norm=nn.LayerNorm(_WIDTH), enable_nested_tensor=False)
        self.success, self.advance = nn.Linear(_WIDTH, 1), nn.Linear(_WIDTH, 1)
        nn.init.zeros_(self.success.weight)
        nn.init.zeros_(self.success.bias)

    def fit_scale(self, proprio: Tensor) -> None:
        """Take mean and deviation of float32 (M, P), of what was measured."""
        known = torch.where(proprio.isnan(), torch.zeros_like(proprio), proprio)
        count = (~proprio.isnan()).sum(dim=0).clamp(min=1)
        mean = known.sum(dim=0) / count
        spread = torch.where(proprio.isnan(), torch.zeros_like(proprio), proprio - mean).square().sum(dim=0) / count
        self.mean.copy_(mean)
        self.deviation.copy_(spread.sqrt().clamp(min=1e-2))

    def forward(self, windows: Windows, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Correction of the success logit (N,) and logit of the progress (N,), for N windows and texts (N, E)."""
        images, proprio = windows.frames()
        pose = ((proprio - self.mean) / self.deviation).clamp(-_LARGEST, _LARGEST).nan_to_num(0.0)
        shown = torch.ones(len(pose), 1, 1, device=pose.device)
        if self.training:
            shown = (torch.rand_like(shown) >= _BLIND).float()
        product = self.scale * images * self.scale * texts.repeat(1, self.views)[:, None]
        parts = [self.scale * images, product, pose * shown, shown.expand(-1, pose.shape[1], 1)]
        frames = self.frame(torch.cat(parts, dim=2)) + self.age[-images.shape[1] :]
        tokens = torch.cat([self.text(self.scale * texts)[:, None], frames], dim=1)
        hidden = functional.pad(~windows.there, (1, 0), value=False)
        newest = self.body(tokens, src_key_padding_mask=hidden)[:, -1]
        return self.success(newest).squeeze(1), self.advance(newest).squeeze(1)
