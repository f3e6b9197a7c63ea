"""Actor (tanh-Gaussian) and critic ensemble (stacked, one batched matrix product a layer).

Both take the state (B, F) and an instruction code: the embedding of the instruction through a small linear
layer. The projection commutes with looking rows up, so a table (K, E) of all known instructions is projected
once an update and gathered by id, which costs less than projecting a batch of embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from policies.config import NetworkConfig
from policies.fused import inner_product, norm_relu


class Actor(nn.Module):
    """Gaussian policy before a tanh: state and instruction to mean and log standard deviation."""

    def __init__(self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int) -> None:
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

    def __init__(self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int) -> None:
        """Random weights: orthogonal with gain sqrt 2, independent for each critic."""
        super().__init__()
        n, code, hidden = config.critics, config.instruction_width, config.critic_hidden
        self.count = n
        self.code_weight = nn.Parameter(_stacked_orthogonal(n, instruction_size, code, 1.0))
        self.code_bias = nn.Parameter(torch.zeros(n, 1, code))
        first = _stacked_orthogonal(n, state_size + code + action_size, hidden[0], 2**0.5)
        parts = first.split([state_size, code, action_size], 1)
        self.first = nn.ParameterList([part.contiguous() for part in parts])
        self.weights = nn.ParameterList([_stacked_orthogonal(n, a, b, 2**0.5) for a, b in pairwise(hidden)])
        self.biases = nn.ParameterList([torch.zeros(n, 1, b) for b in hidden])
        self.scales = nn.ParameterList([torch.ones(n, 1, b) for b in hidden])
        self.shifts = nn.ParameterList([torch.zeros(n, 1, b) for b in hidden])
        last = _stacked_orthogonal(n, hidden[-1], 1, 1.0)
        self.out_weight = nn.Parameter(last.transpose(1, 2).contiguous())
        self.out_bias = nn.Parameter(torch.zeros(n, 1))

    def tensors(self) -> list[Tensor]:
        """The parameters in the order that `ensemble_values` takes them."""
        heads = [self.code_weight, self.code_bias, *self.first, self.out_weight, self.out_bias]
        return [*heads, *self.biases, *self.scales, *self.shifts, *self.weights]

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
    code_weight, code_bias, of_state, of_code, of_action, out_weight, out_bias, *layers = tensors
    depth = (len(layers) + 1) // 4
    biases, scales, shifts = layers[:depth], layers[depth : 2 * depth], layers[2 * depth : 3 * depth]
    n = len(code_weight)
    code = torch.baddbmm(code_bias, table.expand(n, *table.shape), code_weight)[:, instruction]
    x = torch.baddbmm(biases[0], state.expand(n, *state.shape), of_state)
    x = torch.baddbmm(x, code, of_code)
    if action.ndim == 2:
        x = torch.baddbmm(x, action.expand(n, *action.shape), of_action)
    else:
        flat = action.reshape(-1, action.shape[-1])
        many = torch.bmm(flat.expand(n, *flat.shape), of_action)
        x = (many.view(n, *action.shape[:2], -1) + x[:, :, None]).view_as(many)
    x = norm_relu(x, scales[0], shifts[0])
    for i in range(1, depth):
        x = norm_relu(torch.baddbmm(biases[i], x, layers[3 * depth + i - 1]), scales[i], shifts[i])
    return inner_product(x, out_weight, out_bias).view(n, *action.shape[:-1])


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _stacked_orthogonal(count: int, inputs: int, outputs: int, gain: float) -> Tensor:
    """(count, inputs, outputs), each slice orthogonal."""
    return torch.stack([nn.init.orthogonal_(torch.empty(inputs, outputs), gain) for _ in range(count)])
