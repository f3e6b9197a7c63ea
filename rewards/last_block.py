"""Splits an image tower before its last block, so that only that block is trained on the task's frames."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
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


class _TimmTail(nn.Module, ABC):
    """What follows the trunk in a tower of timm's, up to open_clip's projection; everything before it is dropped."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.head = copy.deepcopy(visual.head)

    @abstractmethod
    def pooled(self, features: Tensor) -> Tensor:
        """What the network behind the trunk makes of its output: (N, width)."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(self.head(self.pooled(features)), dim=-1)


class _TimmTransformerTail(_TimmTail):
    """Last block, final norm and pooling of timm's `VisionTransformer`: SigLIP, SigLIP 2, MobileCLIP2-B."""

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        trunk = visual.trunk
        self.block, self.norm = copy.deepcopy(trunk.blocks[-1]), copy.deepcopy(trunk.norm)
        self.attn_pool, self.fc_norm = copy.deepcopy(trunk.attn_pool), copy.deepcopy(trunk.fc_norm)
        self.projection = copy.deepcopy(trunk.head)
        self._pool, self._prefix = trunk.global_pool, trunk.num_prefix_tokens

    def pooled(self, features: Tensor) -> Tensor:
        tokens = self.norm(self.block(features))
        if self.attn_pool is not None:
            pooled = self.attn_pool(tokens)
        else:
            pooled = tokens[:, 0] if self._pool == "token" else tokens[:, self._prefix :].mean(dim=1)
        return self.projection(self.fc_norm(pooled))


class _FastVitTail(_TimmTail):
    """Last stage, final convolution and head of timm's `FastVit`: MobileCLIP and MobileCLIP2 but for their B."""

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        trunk = visual.trunk
        self.stage, self.final = copy.deepcopy(trunk.stages[-1]), copy.deepcopy(trunk.final_conv)
        self.pool = copy.deepcopy(trunk.head)

    def pooled(self, features: Tensor) -> Tensor:
        return self.pool(self.final(self.stage(features)))


def _is_resnet(visual: Any) -> bool:
    return hasattr(visual, "layer4") and hasattr(visual, "attnpool")


def _is_transformer(visual: Any) -> bool:
    plain = hasattr(visual, "transformer") and getattr(visual, "proj", None) is not None
    return plain and getattr(visual, "attn_pool", None) is None and getattr(visual, "pool_type", "") == "tok"


def _is_timm_transformer(visual: Any) -> bool:
    from timm.models.vision_transformer import VisionTransformer

    trunk = getattr(visual, "trunk", None)
    pools = ("token", "avg", "map")
    return isinstance(trunk, VisionTransformer) and trunk.global_pool in pools and trunk.pool_include_prefix is False


def _is_fastvit(visual: Any) -> bool:
    from timm.models.fastvit import FastVit

    return isinstance(getattr(visual, "trunk", None), FastVit)


def split_off_last_block(visual: Any) -> nn.Module:
    """A trainable copy of the last block: maps `trunk_features` to normalised embeddings (N, E).

    Raises:
        ConfigError: For a tower of another family: neither open_clip's ResNets and vision transformers with a class
            token, nor timm's vision transformers (SigLIP 2) and FastViT (MobileCLIP2).
    """
    if _is_resnet(visual):
        return _ResNetTail(visual)
    if _is_transformer(visual):
        return _TransformerTail(visual)
    if _is_timm_transformer(visual):
        return _TimmTransformerTail(visual)
    if _is_fastvit(visual):
        return _FastVitTail(visual)
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
    if _is_timm_transformer(visual):
        trunk = visual.trunk
        tokens = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(images))))
        return trunk.blocks[:-1](tokens)
    if _is_fastvit(visual):
        return visual.trunk.stages[:-1](visual.trunk.stem(images))
    raise _unknown(visual)


def _unknown(visual: Any) -> ConfigError:
    return ConfigError(
        f"The last block of a {type(visual).__name__} can't be fine-tuned. Set finetune_last_block=false, or use a "
        "CLIP ResNet, a vision transformer with a class token, a SigLIP or a MobileCLIP."
    )
