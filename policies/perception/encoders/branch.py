"""`Branch`: one camera's image (or what a frozen tower saw in it) to features."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from policies.perception.encoders.cnn import Cnn
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig
from policies.perception.encoders.pooling import make_pooling
from policies.perception.encoders.resnet import ResNet
from policies.perception.encoders.tower import Adapter, Tower
from trajectories.errors import ConfigError


class Projection(nn.Sequential):
    """Linear, LayerNorm, tanh, as in ikostrikov/rlpd's `PixelMultiplexer` and SERL's `EncodingWrapper`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Random weights: orthogonal, and biases zero."""
        linear = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(linear.weight)
        nn.init.zeros_(linear.bias)
        super().__init__(linear, nn.LayerNorm(outputs), nn.Tanh())


class TunedTower(nn.Module):
    """A tower that is trained, and its adapter if it gives a map."""

    def __init__(self, tower: Tower, adapter: Adapter | None) -> None:
        super().__init__()
        self.tower = tower
        self.adapter = adapter

    def forward(self, images: Tensor, code: Tensor | None) -> Tensor:
        """uint8 (B, H, W, 3) and, with FiLM, embeddings (B, E) to a map (B, C, h, w) or the tower's embedding."""
        seen = self.tower(images)
        return seen if self.adapter is None else self.adapter(seen, code)


class Passed(nn.Module):
    """A frozen tower's embedding as it is."""

    def forward(self, seen: Tensor, code: Tensor | None) -> Tensor:
        """(B, E) to the same in float32."""
        return seen.float()


class Branch(nn.Module):
    """Network, pooling and projection.

    Attributes:
        size: Features.
        input_shape: Shape of one input without the batch: (H, W, 3), or what the frozen tower gives.
    """

    def __init__(self, config: EncoderConfig, example: Tensor, code_size: int | None) -> None:
        """Random weights, sized by running `example` through.

        Args:
            config: Settings.
            example: One input, (1, ...).
            code_size: E of the instruction's embedding for FiLM; None without FiLM.

        Raises:
            ConfigError: When the image is too small for the network.
        """
        super().__init__()
        self.input_shape = tuple(example.shape[1:])
        self.bf16 = config.bf16
        self.network = _make_network(config, example, code_size)
        code = None if code_size is None else torch.zeros(1, code_size)
        try:
            with torch.no_grad():
                seen = self.network(example, code)
        except RuntimeError as error:
            height, width = self.input_shape[:2]
            raise ConfigError(
                f"Images of {height} x {width} pixels are too small for encoder.network of kind {config.kind!r} "
                f"({error}). Use a larger camera image, fewer layers or smaller strides."
            ) from error
        pooled = seen.shape[1]
        self.pooling: nn.Module = nn.Identity()
        if seen.ndim == 4:
            pooling = make_pooling(config.network.pooling, *seen.shape[1:])
            self.pooling, pooled = pooling, pooling.size
        self.projection = Projection(pooled, config.width) if config.width else nn.Identity()
        self.size = config.width or pooled

    def forward(self, seen: Tensor, code: Tensor | None) -> Tensor:
        """Inputs (B, ...) and, with FiLM, embeddings (B, E) to features float32 (B, size)."""
        device = seen.device.type
        with _half_precision(device, self.bf16):
            x = self.network(seen, code)
        with torch.autocast(device, enabled=False):
            return self.projection(self.pooling(x.float()))


def _half_precision(device: str, wanted: bool) -> AbstractContextManager[object]:
    """bfloat16 on GPUs where it is wanted; elsewhere whatever surrounds the call."""
    return torch.autocast(device, torch.bfloat16) if wanted and device == "cuda" else nullcontext()


def _make_network(config: EncoderConfig, example: Tensor, code_size: int | None) -> nn.Module:
    network = config.network
    if isinstance(network, CnnConfig):
        return Cnn(network, code_size)
    if not isinstance(network, ClipConfig):
        return ResNet(network, code_size)
    if not network.finetune:
        return Passed() if network.stage is None else Adapter(example.shape[-1], network.width, code_size)
    tower = Tower(network)
    if network.stage is None:
        return TunedTower(tower, None)
    with torch.no_grad():
        channels = tower(example).shape[-1]
    return TunedTower(tower, Adapter(channels, network.width, code_size))
