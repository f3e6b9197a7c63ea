"""`ResNet`: a small residual network with group normalisation; see `ResNetConfig` for where it comes from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from policies.perception.encoders.config import NORM_GROUPS, ResNetConfig
from policies.perception.encoders.film import Film
from policies.perception.keypoints import as_input


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut, which is projected where stride or width changes.

    The projection is a 1 x 1 convolution of what the stride leaves: oneDNN 3.13's own strided one can crash in its
    backward pass (`jit_avx512_common_1x1_convolution_bwd_weights_t`, seen with PyTorch 2.15).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(inputs, outputs, 3, stride), _norm(outputs), nn.ReLU(inplace=True))
        self.second = nn.Sequential(_convolution(outputs, outputs, 3, 1), _norm(outputs))
        changes = inputs != outputs or stride != 1
        projection = nn.Sequential(_convolution(inputs, outputs, 1, 1), _norm(outputs))
        self.shortcut = projection if changes else nn.Identity()
        self._stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        left = x[:, :, :: self._stride, :: self._stride]
        return (self.second(self.first(x)) + self.shortcut(left)).relu_()


class ResNet(nn.Module):
    """Stem, max pooling, then stages of basic blocks, each block followed by FiLM where there is an instruction."""

    def __init__(self, config: ResNetConfig, code_size: int | None) -> None:
        """Random weights (He et al., arXiv 1502.01852).

        Args:
            config: Settings.
            code_size: E of the instruction's embedding for FiLM; None without FiLM.
        """
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, config.widths[0], 7, 2), _norm(config.widths[0]), nn.ReLU(inplace=True)
        )
        blocks: list[BasicBlock] = []
        widths: list[int] = []
        before = config.widths[0]
        for width, count, stride in zip(config.widths, config.blocks, config.strides, strict=True):
            for i in range(count):
                blocks.append(BasicBlock(before, width, stride if i == 0 else 1))
                widths.append(width)
                before = width
        self.blocks = nn.ModuleList(blocks)
        self.films = nn.ModuleList(Film(code_size or 0, width) for width in ([] if code_size is None else widths))

    def forward(self, images: Tensor, code: Tensor | None) -> Tensor:
        """uint8 (B, H, W, 3) and, with FiLM, embeddings (B, E) to a map (B, C, h, w)."""
        x = functional.max_pool2d(self.stem(as_input(images)), 3, 2, padding=1)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self.films:
                x = self.films[i](x, code)
        return x


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels)
