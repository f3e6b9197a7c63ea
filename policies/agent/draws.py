"""The randomness of one update, drawn apart from the losses, so that these can be compiled and captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.agent.config import AgentConfig, PhaseConfig
from policies.common.ranks import ALONE, Ranks


@dataclass(frozen=True)
class CriticDraws:
    """Randomness of one critic update.

    Attributes:
        targets: int64 (n,) target critics to bootstrap from, or None for all.
        next_noise: float32 (M, B, A) standard normal, for the next state's actions; None where there are none (IQL).
        regularised: int64 (n,) critics that get the regulariser, or None for all.
        uniform: float32 (B, M, A) in [-1, 1], or None without the regulariser.
        policy_noise: float32 (2, M, B, A) for this and the next state's actions in it, or None.
    """

    targets: Tensor | None
    next_noise: Tensor | None
    regularised: Tensor | None
    uniform: Tensor | None
    policy_noise: Tensor | None


def draw_for_critic(
    config: AgentConfig, phase: PhaseConfig, shape: Sequence[int], generator: torch.Generator, ranks: Ranks = ALONE
) -> CriticDraws:
    """Draw everything that one critic update of a batch of `shape` (B, A) needs.

    Of several ranks each has B transitions, draws for those of all of them, and keeps what is its own.
    """
    batch, size = shape[0] * ranks.count, shape[1]
    device, many = generator.device, phase.cql_actions
    backups = many if phase.max_target_backup else 1
    targets = draw_critics(config, config.target_critics, generator, config.distinct_targets)
    if phase.expectile is not None:
        return CriticDraws(targets, None, None, None, None)
    next_noise = torch.randn(backups, batch, size, generator=generator, device=device)
    next_noise = ranks.part(next_noise, 1)
    if phase.cql_alpha == 0:
        return CriticDraws(targets, next_noise, None, None, None)
    uniform = torch.rand(batch, many, size, generator=generator, device=device) * 2 - 1
    noise = torch.randn(2, many, batch, size, generator=generator, device=device)
    regularised = draw_critics(config, phase.cql_critics, generator)
    return CriticDraws(targets, next_noise, regularised, ranks.part(uniform, 0), ranks.part(noise, 2))


def draw_for_actor(
    phase: PhaseConfig, shape: Sequence[int], generator: torch.Generator, ranks: Ranks = ALONE, pieces: int = 1
) -> Tensor | None:
    """Standard normal noise float32 (B, A) of the action that one actor update draws, or None where it draws none.

    Args:
        phase: Terms of the losses.
        shape: B, A.
        generator: Draws.
        ranks: Each has B transitions, and draws for those of all of them.
        pieces: Minibatches that the batch was put together from again.
    """
    if not (phase.extraction == "soft" or (phase.extraction == "awr" and phase.expectile is None)):
        return None
    noise = torch.randn(shape[0] * ranks.count, shape[1], generator=generator, device=generator.device)
    return ranks.part(noise, 0, pieces)


def draw_critics(
    config: AgentConfig, count: int | None, generator: torch.Generator, distinct: bool = False
) -> Tensor | None:
    """Numbers int64 (count,) of critics, drawn with replacement unless `distinct`, or None for all."""
    if count is None:
        return None
    if distinct:
        return torch.rand(config.networks.critics, generator=generator, device=generator.device).topk(count).indices
    return torch.randint(config.networks.critics, (count,), generator=generator, device=generator.device)
