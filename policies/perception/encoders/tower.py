"""`Tower`: the image tower of an open_clip model as part of an encoder, and `Adapter`, which narrows its maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.common.initial_weights import orthogonal
from policies.perception.encoders.config import ClipConfig
from policies.perception.encoders.film import Film
from rewards.preprocess import resize
from rewards.weight_files import find_weights
from trajectories.errors import ConfigError


class Tower(nn.Module):
    """Images to a map of an inner stage or to the embedding; batch normalisation always uses its stored statistics.

    Attributes:
        digest: Hex sha256 of the weight file.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ClipConfig) -> None:
        """Load the pre-trained weights; never random ones.

        Raises:
            ConfigError: For an unknown model or tag, or a stage that the tower hasn't got.
            MissingDependencyError: When the weights are not here; says how to get them.
            CheckpointError: When the file does not fit the model.
        """
        super().__init__()
        weights = find_weights(config.model, config.pretrained, config.allow_download)
        self.digest = weights.digest
        self.visual: Any = weights.load().visual
        size = self.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple | list) else size)
        self.stage = config.stage
        # open_clip 3.3 has this flag the wrong way round for its ResNet; either value gives the same map.
        self._stop_early = not hasattr(self.visual, "attnpool")
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(config.finetune)
        self.train(False)
        self._check_stage(config)

    def train(self, mode: bool = True) -> Tower:
        """Stay in evaluation mode: running statistics of a large corpus beat those of one robot's batches."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) to a map (B, h, w, C), or to the embedding (B, E) of length 1."""
        pixels = (resize(images, self.image_size) - self.mean) / self.std
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if self.stage is None:
            return functional.normalize(self.visual(pixels), dim=-1)
        return self._map(pixels).permute(0, 2, 3, 1)

    def _map(self, pixels: Tensor) -> Tensor:
        found = self.visual.forward_intermediates(
            pixels, indices=[self.stage], stop_early=self._stop_early, intermediates_only=True
        )
        return found["image_intermediates"][0]

    def _check_stage(self, config: ClipConfig) -> None:
        """Refuse a stage without a map; of a trained tower, what lies behind the stage is left as it is."""
        if config.stage is None:
            return
        try:
            found = self._map(torch.zeros(1, 3, self.image_size, self.image_size))
        except (AssertionError, AttributeError, IndexError, RuntimeError) as error:
            raise ConfigError(
                f"The image tower of {config.model!r} has no map at stage {config.stage} ({error}). Set "
                "encoder.network.stage to -2 (what enters the last block), or to null for the embedding."
            ) from error
        if found.ndim != 4:
            raise ConfigError(
                f"Stage {config.stage} of the image tower of {config.model!r} has shape {tuple(found.shape)}, which is "
                "no map. Set encoder.network.stage to null for the embedding."
            )
        if config.finetune:
            parameters = list(self.visual.parameters())
            gradients = torch.autograd.grad(found.sum(), parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.requires_grad_(gradient is not None)


class Adapter(nn.Module):
    """1 x 1 convolution, FiLM where there is an instruction, ReLU."""

    def __init__(self, channels: int, width: int, code_size: int | None) -> None:
        """Random weights: orthogonal with gain sqrt 2.

        Args:
            channels: C of the tower's maps.
            width: Channels that go on.
            code_size: E of the instruction's embedding for FiLM; None without FiLM.
        """
        super().__init__()
        self.convolution = orthogonal(nn.Conv2d(channels, width, 1))
        self.film = None if code_size is None else Film(code_size, width)

    def forward(self, seen: Tensor, code: Tensor | None) -> Tensor:
        """A tower's map (B, h, w, C) and, with FiLM, embeddings (B, E) to a map (B, width, h, w)."""
        x = self.convolution(seen.permute(0, 3, 1, 2).float())
        if self.film is not None:
            x = self.film(x, code)
        return x.relu_()
