"""`Cnn`: plain convolutions with LayerNorm over channels; see `CnnConfig` for where it comes from."""

from __future__ import annotations

from torch import Tensor, nn

from policies.common.initial_weights import orthogonal
from policies.perception.encoders.config import CnnConfig
from policies.perception.encoders.film import Film
from policies.perception.keypoints import as_input


class ChannelNorm(nn.LayerNorm):
    """LayerNorm of the channels at each place of a map, as flax's `LayerNorm` on (B, h, w, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Cnn(nn.Module):
    """Convolution, LayerNorm, FiLM where there is an instruction, ReLU; as often as the config has widths."""

    def __init__(self, config: CnnConfig, code_size: int | None) -> None:
        """Random weights: orthogonal with gain sqrt 2, as in ikostrikov/rlpd.

        Args:
            config: Settings.
            code_size: E of the instruction's embedding for FiLM; None without FiLM.
        """
        super().__init__()
        inputs = (3, *config.widths[:-1])
        pairs = zip(inputs, config.widths, config.strides, strict=True)
        self.convolutions = nn.ModuleList(orthogonal(nn.Conv2d(a, b, 3, stride)) for a, b, stride in pairs)
        self.norms = nn.ModuleList(ChannelNorm(width) for width in config.widths)
        speaks = () if code_size is None else config.widths
        self.films = nn.ModuleList(Film(code_size or 0, width) for width in speaks)

    def forward(self, images: Tensor, code: Tensor | None) -> Tensor:
        """uint8 (B, H, W, 3) and, with FiLM, embeddings (B, E) to a map (B, C, h, w)."""
        x = as_input(images)
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = norm(convolution(x))
            if self.films:
                x = self.films[i](x, code)
            x = x.relu_()
        return x
