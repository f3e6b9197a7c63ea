"""Write and read the part of a checkpoint that all kinds share: the agent's state and the policy's digest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.config import AgentConfig
from policies.common.tensor_file import digest
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import CheckpointError

EXTRA = "extra."
"""In front of the names of the caller's tensors."""


def agent_content(
    agent: Agent, tensors: Mapping[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file.

    Args:
        agent: Its whole training state is kept.
        tensors: The caller's, e.g. the state of a replay's draws.
    """
    state, counters = agent.state()
    payload = dict(state) | {EXTRA + name: tensor for name, tensor in (tensors or {}).items()}
    header = {"sizes": list(agent.sizes), "counters": counters, "policy_digest": digest(agent.actor_weights())}
    return payload, header


def agent_from(
    payload: Mapping[str, Tensor],
    header: Mapping[str, Any],
    config: AgentConfig,
    path: Path,
    *,
    device: torch.device | str = "cpu",
    encoder: Encoder | None = None,
) -> tuple[Agent, dict[str, Tensor]]:
    """Inverse of `agent_content`: the agent and the caller's tensors, on the CPU.

    Args:
        payload: Tensors of the file.
        header: Of the file.
        config: Settings to go on with.
        path: The file, for messages.
        device: Where the agent shall live.
        encoder: The image encoder that it trains, if it does; gets the saved weights.

    Raises:
        CheckpointError: The state is incomplete, lacks the anchor that the settings ask for, or gives another policy
            than was saved.
    """
    agent = Agent(config, *header["sizes"], device=device, encoder=encoder)
    state = {name: tensor for name, tensor in payload.items() if not name.startswith(EXTRA)}
    agent.load_state(state, header["counters"])
    if config.phase(agent.phase).anchored and agent.anchor is None:
        raise CheckpointError(
            f"{path} was saved in the phase {agent.phase!r} without an anchor, and now {agent.phase}.anchor_weight "
            "asks for one: the policy that the phase began with is gone. Set anchor_weight and anchor_final to 0, or "
            "begin the phase anew."
        )
    if digest(agent.actor_weights()) != header["policy_digest"]:
        raise CheckpointError(f"The policy loaded from {path} is not the one that was saved; don't run it.")
    extra = {name.removeprefix(EXTRA): tensor for name, tensor in payload.items() if name.startswith(EXTRA)}
    return agent, extra
