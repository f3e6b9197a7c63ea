"""The running average of the actor's weights: what acts, while the newest weights learn.

The policy that a critic's gradient moves swings from update to update, and which swing is sent to the robot is chance.
Averages of the weights of many updates are better than most of them: Polyak and Juditsky (SIAM J. Control Optim. 30(4),
1992), Izmailov et al. (arXiv 1803.05407); Chi et al. (arXiv 2303.04137, section III) act with one for the same reason.
"""

from __future__ import annotations

import copy

from policies.agent.config import AgentConfig
from policies.agent.networks import Actor, follow
from policies.perception.encoders.encoder import Encoder


def new_average(config: AgentConfig, actor: Actor, encoder: Encoder | None) -> Actor | None:
    """An average that begins with the actor of now; None where the settings want none.

    Args:
        config: Of the agent.
        actor: Its policy network.
        encoder: What is trained along; the actors of different updates then see different things, and have no average.
    """
    if config.actor_average == 0 or encoder is not None:
        return None
    return copy.deepcopy(actor).requires_grad_(False)


def take_along(average: Actor, actor: Actor, decay: float, updates: int) -> None:
    """Put the actor of now into the average: the mean of all actors at first, an exponential one later.

    Args:
        average: Changed in place.
        actor: After `updates` updates and this one.
        decay: d of average <- d average + (1 - d) actor.
        updates: Before this one.
    """
    follow(average, actor, max(1.0 - decay, 1.0 / (updates + 1)))
