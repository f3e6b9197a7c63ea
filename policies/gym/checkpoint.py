"""Checkpoints of training on a Gymnasium environment: the whole agent, what it belongs to, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.agent_file import EXTRA, agent_content, agent_from
from policies.agent.agent_state import ENCODER
from policies.agent.config import AgentConfig
from policies.common.tensor_file import read_tensors, write_tensors
from policies.gym.preparation import Preparation
from policies.gym.settings import DataSettings
from policies.learner.training_state import TrainingState
from policies.perception.common import part_of
from policies.perception.encoders.description import described, rebuilt
from policies.perception.encoders.encoder import Encoder
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from trajectories.errors import CheckpointError

FORMAT = "regrasp-gym-1"
_FROZEN = "frozen_encoder."
WHEN_IT_DIVERGES = (
    "Look for observations that are far larger than those of the data (data.normalise=true clips them), or take "
    "+agent.networks.critic_norm=true."
)


@dataclass(frozen=True)
class GymCheckpoint:
    """A loaded checkpoint.

    Attributes:
        agent: Ready to go on.
        preparation: Of observations, actions and rewards.
        identity: What it was made for, see `Job.identity`.
        progress: Counters, plain JSON.
        tensors: The caller's, on the CPU.
        digest: Hex sha256 of the file's content.
    """

    agent: Agent
    preparation: Preparation
    identity: Mapping[str, Any]
    progress: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    digest: str


def save_checkpoint(
    path: Path,
    agent: Agent,
    preparation: Preparation,
    identity: Mapping[str, Any],
    progress: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None = None,
) -> None:
    """Write everything; the file is there whole or not at all.

    Args:
        path: Created or replaced.
        agent: Its whole training state is kept.
        preparation: Of its observations, actions and rewards.
        identity: What it is made for.
        progress: Counters, plain JSON.
        tensors: The caller's, e.g. the state of a replay's draws.

    Raises:
        CheckpointError: The disk refuses, or a tensor holds NaN or infinity.
    """
    scaling = {"mean": torch.from_numpy(preparation.mean), "spread": torch.from_numpy(preparation.spread)}
    encoder, seen = preparation.encoder, {}
    if encoder is not None and encoder.frozen:  # one that is trained is part of the agent
        seen = {_FROZEN + name: tensor for name, tensor in encoder.trained_tensors().items()}
    payload, header = agent_content(agent, scaling | seen | dict(tensors or {}))
    if encoder is not None:
        header |= {"encoder": described(encoder), "frozen": encoder.frozen}
    broken = [name for name, tensor in payload.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError(
            f"Training has diverged: {len(broken)} of {len(payload)} tensors, {broken[0]} among them, are not finite. "
            f"{path} is as it was. {WHEN_IT_DIVERGES}"
        )
    write_tensors(Path(path), FORMAT, payload, {**header, "identity": dict(identity), "progress": dict(progress)})


def load_checkpoint(
    path: Path, *, device: torch.device | str = "cpu", config: AgentConfig | None = None
) -> GymCheckpoint:
    """Read a checkpoint back.

    Args:
        path: File of `save_checkpoint`.
        device: Where the agent shall live.
        config: Losses to go on with instead of the saved ones; networks and discount must agree.

    Raises:
        CheckpointError: The file is missing, damaged or incomplete, of other networks or another discount, or gives
            another policy than was saved.
    """
    path = Path(path)
    payload, header, whole = read_tensors(path, FORMAT)
    saved = AgentConfig.from_dict(header["identity"]["agent"])
    config = saved if config is None else config
    for name in ("networks", "gamma"):
        if getattr(config, name) != getattr(saved, name):
            raise CheckpointError(
                f"{path} was trained with {name} = {getattr(saved, name)}; the settings ask for "
                f"{getattr(config, name)}. Go on with the method that it was trained with."
            )
    encoder = _encoder(payload, header, device)
    trained = None if encoder is None or encoder.frozen else encoder
    agent, tensors = agent_from(payload, header, config, path, device=device, encoder=trained)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_FROZEN)}
    mean, spread = (tensors.pop(name).numpy().astype(np.float32) for name in ("mean", "spread"))
    settings = DataSettings(**header["identity"]["data"])
    preparation = Preparation(settings, config.gamma, mean, spread, encoder)
    return GymCheckpoint(agent, preparation, header["identity"], header["progress"], tensors, whole)


def _encoder(payload: Mapping[str, Tensor], header: Mapping[str, Any], device: torch.device | str) -> Encoder | None:
    """The saved image encoder; None where there was none."""
    if "encoder" not in header:
        return None
    saved = part_of(payload, EXTRA + _FROZEN if header["frozen"] else ENCODER)
    encoder = rebuilt(header["encoder"], saved).to(device)
    if header["frozen"]:
        encoder.freeze()
    return encoder


@dataclass(frozen=True)
class OnlineCheckpoint:
    """Implements `training_state.CheckpointFile` for a Gymnasium environment.

    Attributes:
        path: The file.
        preparation: Of the agent's observations, actions and rewards.
        device: Where the agent lives.
    """

    path: Path
    preparation: Preparation
    device: torch.device | str

    def read(self) -> TrainingState:
        """See `CheckpointFile.read`."""
        saved = load_checkpoint(self.path, device=self.device)
        return TrainingState(saved.agent, saved.identity, saved.progress, saved.tensors)

    def write(self, state: TrainingState) -> None:
        """See `CheckpointFile.write`."""
        save_checkpoint(self.path, state.agent, self.preparation, state.identity, state.progress, state.draws)


def with_draws_of_before(state: TrainingState, source: Replay | MixedReplay) -> TrainingState:
    """A state whose draws fit today's trainer.

    Checkpoints from before the online trainer kept the draws of the offline replay alone, under no prefix; these are
    restored here. The draws of the online replay lie in its own file, then as now.
    """
    named = any(name.startswith("offline.") for name in state.draws)
    if not isinstance(source, MixedReplay) or not state.draws or named:
        return state
    source.offline.load_state_dict(state.draws)
    return replace(state, draws={})
