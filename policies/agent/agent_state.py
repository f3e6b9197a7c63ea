"""Save an agent's whole training state as named tensors and counters, and restore it."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from policies.agent.networks import Actor
from policies.agent.optimisers import Optimisers
from policies.agent.phase_config import Phase
from policies.common.optimiser_state import load_optimiser, optimiser_tensors
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import CheckpointError

_log = logging.getLogger(__name__)
_COUNTERS = ("critic_updates", "actor_updates", "phase_updates")
_MODULES = ("actor", "critics", "targets", "anchor", "value", "target_actor", "average")
ENCODER = "encoder."
"""In front of the names of an image encoder's tensors."""
_ANCHOR, _ANCHOR_ENCODER = "anchor.", "anchor_encoder."
_AVERAGE = "average."
_SCALARS = ("raw_temperature", "log_cql_weight")


class Trained(Protocol):
    """The parts of an `Agent` that are saved and restored by name here; see there what they are."""

    actor: Actor
    average: Actor | None
    anchor: Actor | None
    anchor_encoder: Encoder | None
    encoder: Encoder | None
    optimisers: Optimisers
    generator: torch.Generator
    device: torch.device
    table: Tensor
    phase: Phase


def agent_state(agent: Trained) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything that decides how training goes on."""
    tensors = {"table": agent.table, "generator": agent.generator.get_state()}
    for module in _MODULES:
        network = getattr(agent, module)
        if network is not None:
            tensors |= {f"{module}.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= encoder_tensors(agent.encoder)
    if agent.anchor_encoder is not None:
        trained = agent.anchor_encoder.trained_tensors()
        tensors |= {_ANCHOR_ENCODER + name: tensor for name, tensor in trained.items()}
    for name in _SCALARS:
        tensors[name] = getattr(agent, name)
    for name, optimiser in agent.optimisers.items():
        tensors |= optimiser_tensors(optimiser, f"optimiser.{name}.")
    counters = {name: getattr(agent, name) for name in _COUNTERS}
    return {name: tensor.detach() for name, tensor in tensors.items()}, counters | {"phase": agent.phase}


def encoder_tensors(encoder: Encoder | None) -> dict[str, Tensor]:
    """What an agent trains of its encoder, without gradients; nothing where it has none."""
    if encoder is None:
        return {}
    return {ENCODER + name: tensor.detach() for name, tensor in encoder.trained_tensors().items()}


def load_agent_state(agent: Trained, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
    """Put `agent_state` back into an agent with the same networks.

    Raises:
        CheckpointError: When a tensor is missing, unknown or has another shape.
    """
    left = dict(tensors)
    missing = [name for name in (*_COUNTERS, "phase") if name not in counters]
    if missing:
        raise CheckpointError(f"the checkpoint lacks the counters {missing}; it is incomplete")
    _load_anchor_encoder(agent, left)
    has_anchor = any(name.startswith(_ANCHOR) for name in left)
    agent.anchor = copy.deepcopy(agent.actor).requires_grad_(False) if has_anchor else None
    _begin_average(agent, left)
    for module in _MODULES:
        network = getattr(agent, module)
        if network is not None:
            for name, tensor in network.state_dict().items():
                _copy(tensor, left, f"{module}.{name}")
    for name, tensor in encoder_tensors(agent.encoder).items():
        _copy(tensor, left, name)
    for name in _SCALARS:
        _copy(getattr(agent, name).detach(), left, name)
    agent.table = _take(left, "table").to(agent.device, copy=True)
    _load_draws(agent.generator, _take(left, "generator").cpu())
    for name, optimiser in agent.optimisers.items():
        load_optimiser(optimiser, left, f"optimiser.{name}.")
    if left:
        raise CheckpointError(f"the checkpoint has tensors that nothing here knows: {sorted(left)[:5]}")
    for name in _COUNTERS:
        setattr(agent, name, int(counters[name]))
    agent.phase = counters["phase"]


def _begin_average(agent: Trained, left: dict[str, Tensor]) -> None:
    """Let an average that the checkpoint knows nothing of begin with its actor, and leave out one that isn't kept."""
    there = [name for name in left if name.startswith(_AVERAGE)]
    if agent.average is None:
        for name in there:
            del left[name]
    elif not there:
        actor = {name: left[f"actor.{name}"] for name in agent.actor.state_dict() if f"actor.{name}" in left}
        left |= {_AVERAGE + name: tensor for name, tensor in actor.items()}


def _load_anchor_encoder(agent: Trained, left: dict[str, Tensor]) -> None:
    """What the anchor saw through, where the agent trains its encoder.

    An anchor that was saved without it (by earlier versions) is no policy any more: it is left out, and whoever still
    asks for one is refused (`agent_file.agent_from`).
    """
    agent.anchor_encoder = None
    if agent.encoder is None:
        return
    saved = {name: left.pop(name) for name in list(left) if name.startswith(_ANCHOR_ENCODER)}
    if saved:
        agent.anchor_encoder = agent.encoder.copied().requires_grad_(False)
        agent.anchor_encoder.load_trained({name.removeprefix(_ANCHOR_ENCODER): saved[name] for name in saved})
        return
    for name in [name for name in left if name.startswith(_ANCHOR)]:
        del left[name]


def _load_draws(generator: torch.Generator, state: Tensor) -> None:
    """Go on with the draws; with others, but always the same, on another kind of device, whose generators differ."""
    try:
        generator.set_state(state)
    except RuntimeError:
        seed = hashlib.sha256(state.numpy().tobytes()).digest()[:8]
        generator.manual_seed(int.from_bytes(seed, "little") >> 1)
        _log.info("The agent is from another kind of device: its draws go on from a new seed.")


def _copy(into: Tensor, left: dict[str, Tensor], name: str) -> None:
    tensor = _take(left, name)
    if tensor.shape != into.shape:
        raise CheckpointError(
            f"{name} has shape {tuple(tensor.shape)} in the checkpoint and {tuple(into.shape)} here; "
            "it was made for other networks"
        )
    into.copy_(tensor)


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise CheckpointError(f"the checkpoint lacks {name}; it is incomplete or for other networks")
    return left.pop(name)
