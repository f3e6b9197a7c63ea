"""Splits an image tower before its last block, so that only that block is trained on the task's frames."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from trajectories.errors import ConfigError


class _ResNetTail(nn.Module):
    """Last stage and attention pooling of open_clip's `ModifiedResNet`."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.stage = copy.deepcopy(visual.layer4)
        self.pool = copy.deepcopy(visual.attnpool)

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(self.pool(self.stage(features)), dim=-1)


class _TransformerTail(nn.Module):
    """Last block, final norm and projection of open_clip's `VisionTransformer` with a class token."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.block = copy.deepcopy(visual.transformer.resblocks[-1])
        self.norm = copy.deepcopy(visual.ln_post)
        self.projection = nn.Parameter(visual.proj.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        pooled = self.norm(self.block(features))[:, 0]
        return functional.normalize(pooled @ self.projection, dim=-1)


def _is_resnet(visual: Any) -> bool:
    return hasattr(visual, "layer4") and hasattr(visual, "attnpool")


def _is_transformer(visual: Any) -> bool:
    plain = hasattr(visual, "transformer") and getattr(visual, "proj", None) is not None
    return plain and getattr(visual, "attn_pool", None) is None and getattr(visual, "pool_type", "") == "tok"


def split_off_last_block(visual: Any) -> nn.Module:
    """A trainable copy of the last block: maps `trunk_features` to normalised embeddings (N, E).

    Raises:
        ConfigError: For a tower that is neither a CLIP ResNet nor a vision transformer with a class token.
    """
    if _is_resnet(visual):
        return _ResNetTail(visual)
    if _is_transformer(visual):
        return _TransformerTail(visual)
    raise _unknown(visual)


def trunk_features(visual: Any, images: Tensor) -> Tensor:
    """What enters the last block for preprocessed images (N, 3, S, S).

    Raises:
        ConfigError: As `split_off_last_block`.
    """
    if _is_resnet(visual):
        return visual.layer3(visual.layer2(visual.layer1(visual.stem(images))))
    if _is_transformer(visual):
        tokens = visual._embeds(images)
        for block in visual.transformer.resblocks[:-1]:
            tokens = block(tokens)
        return tokens
    raise _unknown(visual)


def _unknown(visual: Any) -> ConfigError:
    return ConfigError(
        f"The last block of a {type(visual).__name__} can't be fine-tuned. Set finetune_last_block=false, "
        f"or use a "
        "CLIP ResNet or a vision transformer with a class token."
    )
