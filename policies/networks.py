"""Actor (tanh-Gaussian) and critic ensemble (stacked, one batched matrix product a layer).

Both take the state (B, F) and an instruction code: the embedding of the instruction through a small linear
layer. The projection commutes with looking rows up, so a table (K, E) of all known instructions is projected
once an update and gathered by id, which costs less than projecting a batch of embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.config import NetworkConfig


class Actor(nn.Module):
    """Gaussian policy before a tanh: state and instruction to mean and log standard deviation."""

    def __init__(
        self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int
    ) -> None:
        """Random weights: orthogonal with gain sqrt 2, and a last layer near zero (actions near 0)."""
        super().__init__()
        self.log_std_range = (config.log_std_min, config.log_std_max)
        self.instruction = nn.Linear(instruction_size, config.instruction_width)
        widths = (state_size + config.instruction_width, *config.actor_hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [_orthogonal(nn.Linear(before, after), 2**0.5), nn.LayerNorm(after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = _orthogonal(nn.Linear(widths[-1], 2 * action_size), 1e-2)

    def encode(self, embedding: Tensor) -> Tensor:
        """Instruction embeddings (..., E) to codes (..., C)."""
        return self.instruction(embedding)

    def forward(self, state: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (B, A) before the tanh, from state (B, F) and code (B, C)."""
        mean, log_std = self.head(self.trunk(torch.cat([state, code], -1))).chunk(2, -1)
        return mean, log_std.clamp(*self.log_std_range)


class CriticEnsemble(nn.Module):
    """N critics Q(state, instruction, action) with LayerNorm before each activation, evaluated together.

    Parameters carry the critic as their first axis, so that `select` picks a subset by indexing.
    """

    def __init__(
        self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int
    ) -> None:
        """Random weights: orthogonal with gain sqrt 2, independent for each critic."""
        super().__init__()
        n, code, hidden = config.critics, config.instruction_width, config.critic_hidden
        self.count = n
        self.code_weight = nn.Parameter(_stacked_orthogonal(n, instruction_size, code, 1.0))
        self.code_bias = nn.Parameter(torch.zeros(n, 1, code))
        widths = (state_size + code + action_size, *hidden)
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList([_stacked_orthogonal(n, a, b, 2**0.5) for a, b in pairs])
        self.biases = nn.ParameterList([torch.zeros(n, 1, b) for b in hidden])
        self.scales = nn.ParameterList([torch.ones(n, 1, b) for b in hidden])
        self.shifts = nn.ParameterList([torch.zeros(n, 1, b) for b in hidden])
        self.out_weight = nn.Parameter(_stacked_orthogonal(n, hidden[-1], 1, 1.0))
        self.out_bias = nn.Parameter(torch.zeros(n, 1, 1))

    def tensors(self) -> list[Tensor]:
        """The parameters in the order that `ensemble_values` takes them."""
        hidden = zip(self.weights, self.biases, self.scales, self.shifts, strict=True)
        layers = [tensor for layer in hidden for tensor in layer]
        return [self.code_weight, self.code_bias, *layers, self.out_weight, self.out_bias]

    def forward(self, state: Tensor, table: Tensor, instruction: Tensor, action: Tensor) -> Tensor:
        """All N critics; see `ensemble_values`."""
        return ensemble_values(self.tensors(), state, table, instruction, action)


def select(tensors: Sequence[Tensor], index: Tensor) -> list[Tensor]:
    """The parameters of the critics `index` (int64, repeats allowed); gradients flow back to all."""
    return [tensor[index] for tensor in tensors]


def ensemble_values(
    tensors: Sequence[Tensor], state: Tensor, table: Tensor, instruction: Tensor, action: Tensor
) -> Tensor:
    """Values of N critics.

    Args:
        tensors: From `CriticEnsemble.tensors` or `select`.
        state: float32 (B, F).
        table: float32 (K, E) instruction embeddings.
        instruction: int64 (B,) rows of `table`.
        action: float32 (B, A), or (B, M, A) for M actions a state: the state's part of the first layer is
        then
            computed once.

    Returns:
        float32 (N, B) or (N, B, M).
    """
    code_weight, code_bias, *layers, out_weight, out_bias = tensors
    n, batch = len(code_weight), len(state)
    code = torch.baddbmm(code_bias, table.expand(n, *table.shape), code_weight)[:, instruction]
    context = torch.cat([state.expand(n, *state.shape), code], -1)
    if action.ndim == 2:
        inputs = torch.cat([context, action.expand(n, *action.shape)], -1)
        x = torch.baddbmm(layers[1], inputs, layers[0])
    else:
        x = _first_layer_of_many(layers[0], layers[1], context, action)
    for i in range(0, len(layers), 4):
        if i:
            x = torch.baddbmm(layers[i + 1], x, layers[i])
        x = F.layer_norm(x, x.shape[-1:])
        x = torch.relu(torch.addcmul(layers[i + 3], x, layers[i + 2]))
    values = torch.baddbmm(out_bias, x, out_weight)
    return values.view(n, *action.shape[:-1]) if action.ndim == 3 else values.view(n, batch)


def _first_layer_of_many(weight: Tensor, bias: Tensor, context: Tensor, action: Tensor) -> Tensor:
    """First pre-activation (N, B M, H) for M actions (B, M, A) a context (N, B, F + C)."""
    batch, many, size = action.shape
    split = weight.shape[1] - size
    of_state = torch.baddbmm(bias, context, weight[:, :split])
    flat = action.reshape(batch * many, size)
    of_action = torch.bmm(flat.expand(len(weight), *flat.shape), weight[:, split:])
    x = of_action.view(len(weight), batch, many, -1) + of_state[:, :, None]
    return x.view(len(weight), batch * many, -1)


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _stacked_orthogonal(count: int, inputs: int, outputs: int, gain: float) -> Tensor:
    """(count, inputs, outputs), each slice orthogonal."""
    return torch.stack([nn.init.orthogonal_(torch.empty(inputs, outputs), gain) for _ in range(count)])
