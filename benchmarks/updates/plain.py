"""The updates of `Agent` as one would first write them in PyTorch: what the fast ones are measured against.

Stacked critics with one batched matrix product a layer, `F.layer_norm`, autograd, `torch.optim.Adam`, eager. No trick
that a good engineer would not write at once, and no blunder either: the subsampled target critics alone are evaluated,
and the actor's update differentiates the critics with regard to the action only. Plain REDQ-style WSRL and Cal-QL
without instruction, anchor or cloning term.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOG_TAU = math.log(2 * math.pi)
GAMMA, TAU = 0.99, 0.005


class PlainActor(nn.Module):
    """State (B, F) to mean and log standard deviation (B, A)."""

    def __init__(self, state: int, action: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((state, *hidden)):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers, nn.Linear(hidden[-1], 2 * action))

    def forward(self, state: Tensor, many: int | None = None) -> tuple[Tensor, Tensor]:
        """Reparameterised actions (B, A) or (B, many, A), and their log-probabilities (B) or (B, many)."""
        mean, log_std = self.trunk(state).chunk(2, -1)
        log_std = log_std.clamp(-5, 2)
        if many is not None:
            mean, log_std = mean[:, None], log_std[:, None]
        shape = mean.shape if many is None else (len(state), many, mean.shape[-1])
        noise = torch.randn(shape, device=state.device)
        before = mean + log_std.exp() * noise
        slope = 2 * (math.log(2) - before - F.softplus(-2 * before))
        return torch.tanh(before), (-0.5 * noise.square() - log_std - 0.5 * LOG_TAU - slope).sum(-1)


class PlainCritics(nn.Module):
    """N critics; parameters have the critic as their first axis."""

    def __init__(self, count: int, state: int, action: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (state + action, *hidden, 1)
        self.weights = nn.ParameterList(torch.randn(count, a, b) / math.sqrt(a) for a, b in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(count, 1, b) for b in widths[1:])
        self.scales = nn.ParameterList(torch.ones(count, 1, b) for b in hidden)
        self.shifts = nn.ParameterList(torch.zeros(count, 1, b) for b in hidden)

    def forward(self, state: Tensor, action: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Values (N, B) of states (B, F) and actions (B, A), of the critics `chosen` or of all."""

        def of(parameter: Tensor) -> Tensor:
            return parameter if chosen is None else parameter[chosen]

        first = of(self.weights[0])
        x = torch.cat([state, action], -1).expand(len(first), -1, -1)
        for i in range(len(self.scales)):
            x = torch.baddbmm(of(self.biases[i]), x, of(self.weights[i]))
            x = F.relu(F.layer_norm(x, x.shape[-1:]) * of(self.scales[i]) + of(self.shifts[i]))
        return torch.baddbmm(of(self.biases[-1]), x, of(self.weights[-1]))[..., 0]


class PlainAgent:
    """SAC with an ensemble; `wsrl` is one environment step's update, `calql` one pre-training update."""

    def __init__(
        self,
        state: int,
        action: int,
        critics: int,
        hidden: tuple[int, ...],
        actor_hidden: tuple[int, ...],
        device: torch.device,
        subset: int | None,
    ) -> None:
        """Random networks; `subset` target critics bootstrap, None for all."""
        torch.manual_seed(0)
        self.actor = PlainActor(state, action, actor_hidden).to(device)
        self.critics = PlainCritics(critics, state, action, hidden).to(device)
        self.targets = PlainCritics(critics, state, action, hidden).to(device).requires_grad_(False)
        self.targets.load_state_dict(self.critics.state_dict())
        self.log_alpha = torch.zeros((), device=device, requires_grad=True)
        self.count, self.subset, self.action_size = critics, subset, action
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=1e-4)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=3e-4)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=1e-4)

    def wsrl(self, batch: dict[str, Tensor], utd: int) -> None:
        """`utd` critic updates on equal parts, then one actor and temperature update on all."""
        parts = {name: tensor.chunk(utd) for name, tensor in batch.items()}
        for i in range(utd):
            self._critic({name: chunks[i] for name, chunks in parts.items()}, calql_actions=0)
        self._actor(batch)

    def calql(self, batch: dict[str, Tensor], actions: int) -> None:
        """One critic update with the calibrated regulariser on all critics, one actor update."""
        self._critic(batch, actions)
        self._actor(batch)

    def _critic(self, batch: dict[str, Tensor], calql_actions: int) -> None:
        with torch.no_grad():
            action, _ = self.actor(batch["next_state"])
            chosen = None
            if self.subset is not None:
                chosen = torch.randint(self.count, (self.subset,), device=action.device)
            value = self.targets(batch["next_state"], action, chosen).amin(0)
            target = batch["reward"] + batch["discount"] * value
        data = self.critics(batch["state"], batch["action"])
        loss = (data - target).square().mean()
        if calql_actions:
            loss = loss + self._regulariser(batch, data, calql_actions)
        self.critic_adam.zero_grad()
        loss.backward()
        self.critic_adam.step()
        with torch.no_grad():
            for old, new in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                old.lerp_(new, TAU)

    def _regulariser(self, batch: dict[str, Tensor], data: Tensor, many: int) -> Tensor:
        state = batch["state"]
        with torch.no_grad():
            now, log_now = self.actor(state, many)
            after, log_after = self.actor(batch["next_state"], many)
            uniform = torch.rand(len(state), many, self.action_size, device=state.device) * 2 - 1
            every = torch.cat([uniform, now, after], 1)
        rows = state.repeat_interleave(3 * many, 0)
        values = self.critics(rows, every.flatten(0, 1)).unflatten(1, (len(state), 3 * many))
        random, policy = values.split([many, 2 * many], -1)
        policy = torch.maximum(policy, batch["mc_return"][:, None])
        corrected = [random - self.action_size * math.log(0.5), policy - torch.cat([log_now, log_after], 1)]
        return (torch.logsumexp(torch.cat(corrected, -1), -1) - data).mean()

    def _actor(self, batch: dict[str, Tensor]) -> None:
        action, log_prob = self.actor(batch["state"])
        self.critics.requires_grad_(False)
        value = self.critics(batch["state"], action).amin(0)
        self.critics.requires_grad_(True)
        alpha = self.log_alpha.detach().exp()
        self.actor_adam.zero_grad()
        (alpha * log_prob - value).mean().backward()
        self.actor_adam.step()
        self.alpha_adam.zero_grad()
        (-self.log_alpha.exp() * (log_prob.detach().mean() - self.action_size)).backward()
        self.alpha_adam.step()
