"""What the ranks that share a batch tell each other of it before an actor's loss can be computed."""

from __future__ import annotations

from torch import Tensor

from policies.agent.batch_means import BatchMeans, at_least_one
from policies.agent.config import AgentConfig, PhaseConfig
from policies.agent.objectives import Models, part_sums, worth_copying
from policies.common.batch import Batch
from policies.common.ranks import Ranks


def shared_means(
    ranks: Ranks, config: AgentConfig, phase: PhaseConfig, models: Models, batch: Batch, noise: Tensor | None
) -> BatchMeans | None:
    """What `actor_objective` takes as `means`; None where the batch is whole, or the loss needs none.

    Args:
        ranks: Who has the parts of the batch.
        config: Of the agent.
        phase: Terms of the loss.
        models: Of the agent.
        batch: This rank's part.
        noise: Its part of `draw_for_actor`.
    """
    if ranks.count == 1 or (phase.bc_weight == 0 and phase.q_scale is None):
        return None
    sums = part_sums(config, phase, models, batch, noise)
    ranks.average([sums])
    return BatchMeans.of(sums, phase, ranks.count)


def shared_copied(ranks: Ranks, phase: PhaseConfig, batch: Batch) -> Tensor | None:
    """What `clone_objective` takes as `copied`; None where the batch is whole."""
    if ranks.count == 1:
        return None
    copied = worth_copying(phase, batch).sum()
    ranks.average([copied])
    return at_least_one(copied, ranks.count)
