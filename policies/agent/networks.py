"""Actor, and stacked networks (critic ensemble, state value): one batched matrix product a layer.

All take the state (B, F) and an instruction code: the embedding of the instruction through a small linear layer. The
projection commutes with looking rows up, so a table (K, E) of all known instructions is projected once an update and
gathered by id, which costs less than projecting a batch of embeddings. Without language (E = 0) there is no code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from policies.agent.config import HistogramConfig, NetworkConfig
from policies.agent.fused import first_product, inner_product, norm_relu
from policies.agent.losses.hl_gauss import bin_edges, expected_value
from policies.agent.network_config import StdBound
from policies.common.initial_weights import orthogonal


class Actor(nn.Module):
    """State and instruction to the two moments that `policies.agent.distribution` makes actions of."""

    def __init__(self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int) -> None:
        """Random weights: orthogonal with gain sqrt 2, and a last layer near zero (actions near 0)."""
        super().__init__()
        self.spread = _Spread(config.log_std_min, config.log_std_max, config.std_bound)
        self.exploration = math.log(config.exploration_noise)
        code_width = config.instruction_width if instruction_size > 0 else 0
        self.instruction = nn.Linear(instruction_size, code_width) if code_width > 0 else None
        widths = (state_size + code_width, *config.actor_hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            norm = [nn.LayerNorm(after)] if config.actor_norm else []
            layers += [orthogonal(nn.Linear(before, after)), *norm, nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.random = config.policy != "deterministic"
        by_state = self.random and config.std == "state"
        self.head = orthogonal(nn.Linear(widths[-1], (2 if by_state else 1) * action_size), 1e-2)
        if by_state:
            nn.init.constant_(self.head.bias[action_size:], self.spread.start)
        shared = torch.full((action_size,), self.spread.start)
        self.log_std = nn.Parameter(shared) if self.random and not by_state else None

    @torch.no_grad()
    def scale_spread(self, factor: float) -> None:
        """Multiply the standard deviations of all actions by `factor`; those beyond their bound end at it, for good."""
        if self.log_std is not None:
            self.log_std.add_(math.log(factor))
        elif self.random:
            self.head.bias[self.head.out_features // 2 :].add_(math.log(factor))

    def encode(self, embedding: Tensor) -> Tensor:
        """Instruction embeddings (..., E) to codes (..., C); E = C = 0 without language."""
        return embedding if self.instruction is None else self.instruction(embedding)

    def codes(self, table: Tensor, instruction: Tensor) -> Tensor | None:
        """Codes (B, C) of the rows `instruction` int64 (B,) of a table (K, E); None without language."""
        return None if self.instruction is None else self.encode(table)[instruction]

    def forward(self, state: Tensor, code: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean before the tanh and log standard deviation, both (B, A), from state (B, F) and code (B, C)."""
        x = self.trunk(state if code is None else torch.cat([state, code], -1))
        with full_precision(x):
            x = self.head(x.to(self.head.weight.dtype))
        if not self.random:
            return x, torch.full_like(x, self.exploration)
        if self.log_std is not None:
            return x, self.spread.bounded(self.log_std).expand_as(x)
        mean, log_std = x.chunk(2, -1)
        return mean, self.spread.bounded(log_std)


@dataclass(frozen=True)
class _Spread:
    """How a log standard deviation is kept within [low, high]; see `NetworkConfig.std_bound`."""

    low: float
    high: float
    bound: StdBound

    @property
    def start(self) -> float:
        """What the layer before gives at first: where the bound passes a gradient on, which a clip's ends don't."""
        inside = self.bound == "sigmoid" or self.low < 0.0 < self.high
        return 0.0 if inside else (self.low + self.high) / 2

    def bounded(self, raw: Tensor) -> Tensor:
        """Log std (..., A) of the layer's output (..., A)."""
        if self.bound == "sigmoid":
            return self.low + (self.high - self.low) * torch.sigmoid(raw)
        return raw.clamp(self.low, self.high)


class StackedNetworks(nn.Module):
    """N networks of one shape, evaluated together.

    Parameters carry the network as their first axis, so that `select` picks a subset by indexing.
    """

    def __init__(
        self,
        count: int,
        hidden: Sequence[int],
        sizes: tuple[int, int, int],
        *,
        code_width: int,
        norm: bool,
        bins: int | None = None,
    ) -> None:
        """Random weights: orthogonal with gain sqrt 2, independent for each network.

        Args:
            count: N.
            hidden: Widths of the hidden layers.
            sizes: State, instruction embedding (0 for none) and action (0 for none).
            code_width: Width that the embedding is projected to.
            norm: LayerNorm before each activation.
            bins: Logits for so many bins; None for a single value.
        """
        super().__init__()
        state_size, instruction_size, action_size = sizes
        self.count, self.norm = count, norm
        code = code_width if instruction_size > 0 else 0
        if code > 0:
            self.code_weight = nn.Parameter(_stacked_orthogonal(count, instruction_size, code, 1.0))
            self.code_bias = nn.Parameter(torch.zeros(count, 1, code))
        self._has_code = code > 0
        first = _stacked_orthogonal(count, state_size + code + action_size, hidden[0], 2**0.5)
        parts = [part for part in first.split([state_size, code, action_size], 1) if part.shape[1] > 0]
        self.first = nn.ParameterList([part.contiguous() for part in parts])
        self.weights = nn.ParameterList([_stacked_orthogonal(count, a, b, 2**0.5) for a, b in pairwise(hidden)])
        self.biases = nn.ParameterList([torch.zeros(count, 1, b) for b in hidden])
        self.scales = nn.ParameterList([torch.ones(count, 1, b) for b in hidden] if norm else [])
        self.shifts = nn.ParameterList([torch.zeros(count, 1, b) for b in hidden] if norm else [])
        last = _stacked_orthogonal(count, hidden[-1], bins or 1, 1.0)
        self.out_weight = nn.Parameter(last.transpose(1, 2).contiguous() if bins is None else last)
        self.out_bias = nn.Parameter(torch.zeros((count, 1) if bins is None else (count, 1, bins)))

    def tensors(self) -> list[Tensor]:
        """The parameters in the order that `ensemble_outputs` takes them."""
        code = [self.code_weight, self.code_bias] if self._has_code else []
        heads = [*code, *self.first, self.out_weight, self.out_bias]
        return [*heads, *self.biases, *self.scales, *self.shifts, *self.weights]

    def forward(self, state: Tensor, table: Tensor, instruction: Tensor, action: Tensor | None) -> Tensor:
        """All N networks; see `ensemble_outputs`."""
        return ensemble_outputs(self.tensors(), state, table, instruction, action, self.norm)


class CriticEnsemble(StackedNetworks):
    """N critics Q(state, instruction, action)."""

    def __init__(self, config: NetworkConfig, state_size: int, instruction_size: int, action_size: int) -> None:
        """Random weights."""
        super().__init__(
            config.critics,
            config.critic_hidden,
            (state_size, instruction_size, action_size),
            code_width=config.instruction_width,
            norm=config.critic_norm,
            bins=None if config.critic_bins is None else config.critic_bins.bins,
        )


class ValueNetwork(StackedNetworks):
    """One V(state, instruction)."""

    def __init__(self, config: NetworkConfig, hidden: Sequence[int], state_size: int, instruction_size: int) -> None:
        """Random weights."""
        super().__init__(
            1,
            hidden,
            (state_size, instruction_size, 0),
            code_width=config.instruction_width,
            norm=config.critic_norm,
        )


def select(tensors: Sequence[Tensor], index: Tensor) -> list[Tensor]:
    """The parameters of the critics `index` (int64, repeats allowed); gradients flow back to all."""
    return [tensor[index] for tensor in tensors]


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, step: float) -> None:
    """Move what is trained of a network's slow copy towards it, by that share of the way."""
    pairs = zip(slow.parameters(), fast.parameters(), strict=True)
    trained = [(behind, ahead) for behind, ahead in pairs if ahead.requires_grad]
    torch._foreach_lerp_([behind for behind, _ in trained], [ahead for _, ahead in trained], step)


def ensemble_values(
    config: NetworkConfig,
    tensors: Sequence[Tensor],
    state: Tensor,
    table: Tensor,
    instruction: Tensor,
    action: Tensor | None,
) -> Tensor:
    """Values (N, B) or (N, B, M), whether the networks regress or classify; see `ensemble_outputs`."""
    outputs = ensemble_outputs(tensors, state, table, instruction, action, config.critic_norm)
    return outputs if action is None else values_of(outputs, config.critic_bins)


def values_of(outputs: Tensor, histogram: HistogramConfig | None) -> Tensor:
    """Values of critics from their outputs: these themselves, or the mean of the histogram whose logits they are."""
    if histogram is None:
        return outputs
    return expected_value(outputs, edges_of(histogram, outputs))


def edges_of(histogram: HistogramConfig, like: Tensor) -> Tensor:
    """Edges (bins + 1,) of the histogram's bins."""
    return bin_edges(histogram.low, histogram.high, histogram.bins, like)


def ensemble_outputs(
    tensors: Sequence[Tensor],
    state: Tensor,
    table: Tensor,
    instruction: Tensor,
    action: Tensor | None,
    norm: bool = True,
) -> Tensor:
    """Outputs of N networks.

    Args:
        tensors: From `StackedNetworks.tensors` or `select`.
        state: float32 (B, F).
        table: float32 (K, E) instruction embeddings; with E = 0 neither it nor the rows are looked at.
        instruction: int64 (B,) rows of `table`.
        action: float32 (B, A), or (B, M, A) for M actions a state: the state's part of the first layer is then computed
            once. None for networks without an action.
        norm: The networks have LayerNorm.

    Returns:
        float32 (N, B) or (N, B, M), with a last axis of logits where the networks classify.
    """
    rest = list(tensors)
    code: Tensor | None = None
    if table.shape[-1] > 0:
        code_weight, code_bias = rest.pop(0), rest.pop(0)
        code = torch.baddbmm(code_bias, table.expand(len(code_bias), *table.shape), code_weight)[:, instruction]
    of_state = rest.pop(0)
    of_code = rest.pop(0) if code is not None else None
    of_action = rest.pop(0) if action is not None else None
    out_weight, out_bias = rest.pop(0), rest.pop(0)
    depth = (len(rest) + 1) // (4 if norm else 2)
    from_weights = len(rest) - depth + 1
    biases, norms, weights = rest[:depth], rest[depth:from_weights], rest[from_weights:]
    n = len(of_state)
    if action is not None and of_action is not None and action.ndim == 3:
        x = _first([state, code], [of_state, of_code])
        x = _add_actions(x, action, of_action)
    else:
        x = _first([state, code, action], [of_state, of_code, of_action])
    x = _activate(x, biases[0], norms, 0, depth)
    for i in range(1, depth):
        x = _activate(torch.bmm(x, weights[i - 1]), biases[i], norms, i, depth)
    rows = state.shape[:1] if action is None else action.shape[:-1]
    with full_precision(x):
        x = x.to(out_bias.dtype)
        if out_bias.ndim == 3:
            return torch.baddbmm(out_bias, x, out_weight).view(n, *rows, -1)
        return inner_product(x, out_weight, out_bias).view(n, *rows)


def full_precision(x: Tensor) -> torch.autocast:
    """No autocast on the device of `x`: for last layers, whose outputs are told apart by small differences."""
    return torch.autocast(x.device.type, enabled=False)


def _first(inputs: Sequence[Tensor | None], weights: Sequence[Tensor | None]) -> Tensor:
    """The first layer (N, B, H) of its inputs, (B, I) or (N, B, I) each, in one product: None are left out."""
    weight = torch.cat([part for part in weights if part is not None], 1)
    return first_product([part for part in inputs if part is not None], weight)


def _add_actions(x: Tensor, action: Tensor, of_action: Tensor) -> Tensor:
    """The first layer's activations (N, B, H) with the part of M actions (B, M, A): (N, B M, H)."""
    n = len(x)
    flat = action.reshape(-1, action.shape[-1])
    many = torch.bmm(flat.expand(n, *flat.shape), of_action)
    return (many.view(n, *action.shape[:2], -1) + x[:, :, None]).view_as(many)


def _activate(x: Tensor, bias: Tensor, norms: Sequence[Tensor], layer: int, depth: int) -> Tensor:
    """ReLU of x + bias, after LayerNorm with the layer's scale and shift where there is one."""
    if norms:
        return norm_relu(x, bias, norms[layer], norms[depth + layer])
    return torch.relu(x + bias)


def _stacked_orthogonal(count: int, inputs: int, outputs: int, gain: float) -> Tensor:
    """(count, inputs, outputs), each slice orthogonal."""
    return torch.stack([nn.init.orthogonal_(torch.empty(inputs, outputs), gain) for _ in range(count)])
