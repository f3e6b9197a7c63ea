"""Checkpoints: one safetensors file with JSON in its header, written atomically, digests checked at load.

The file holds the whole training state of an `Agent` (networks, targets, anchor and its encoder, optimiser moments,
temperature, random state, counters, instruction table), so that training goes on bit for bit, and whatever
plain JSON and tensors the caller adds. An existing file of the same name is replaced in one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.agent_file import agent_content, agent_from
from policies.agent.config import AgentConfig
from policies.agent.losses.temperature import raw_of
from policies.common.tensor_file import read_tensors, write_tensors
from policies.perception.encoders.encoder import Encoder
from robot.control.calibration import CalibrationMark
from trajectories.errors import CheckpointError
from trajectories.types import RobotSpec

FORMAT = "regrasp-agent-1"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        agent: Ready to go on.
        extra: The caller's JSON.
        tensors: The caller's tensors, on the CPU.
        calibration: Of the arm, when it was saved; None without one.
    """

    agent: Agent
    extra: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    calibration: CalibrationMark | None = None


def save_agent(
    path: Path | str,
    agent: Agent,
    spec: RobotSpec,
    extra: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    calibration: CalibrationMark | None = None,
) -> None:
    """Write the agent's whole training state; the file is there whole or not at all.

    Args:
        path: File to create or replace; folders are created.
        agent: What to save.
        spec: The robot that the policy belongs to.
        extra: JSON of the caller (counters, names of instructions).
        tensors: Tensors of the caller (e.g. `Replay.state_dict`).
        calibration: Of the arm that the data come from; None without one (the twin).

    Raises:
        CheckpointError: When it can't be written (disk full, no permission).
    """
    payload, header = agent_content(agent, tensors)
    header |= {
        "config": agent.config.to_dict(),
        "encoder": agent.encoder is not None,
        "spec": spec.to_dict(),
        "extra": dict(extra or {}),
        "calibration": None if calibration is None else calibration.to_dict(),
    }
    write_tensors(Path(path), FORMAT, payload, header)


def load_agent(
    path: Path | str,
    spec: RobotSpec,
    *,
    device: torch.device | str = "cpu",
    config: AgentConfig | None = None,
    encoder: Encoder | None = None,
) -> Checkpoint:
    """Read a checkpoint back.

    Args:
        path: File of `save_agent`.
        spec: The robot at hand.
        device: Where the agent shall live.
        config: Settings to go on with in place of the saved ones (other losses online); networks and discount must
            agree. An agent that has learned nothing yet begins with their entropy temperature.
        encoder: The image encoder of the policy folder, if the agent was training one; gets the saved weights.

    Raises:
        CheckpointError: Missing, damaged or incomplete file, other networks or another discount, with an encoder or
            without one unlike here, or a policy that differs from the saved one.
        SpecMismatchError: Made for another robot.
    """
    path = Path(path)
    payload, header, _ = read_tensors(path, FORMAT)
    spec.require_same(RobotSpec.from_dict(header["spec"]), f"checkpoint {path}")
    saved = AgentConfig.from_dict(header["config"])
    for name in ("networks", "gamma") if config is not None else ():
        if getattr(config, name) != getattr(saved, name):
            raise CheckpointError(
                f"checkpoint {path} has {name} {getattr(saved, name)}, the configuration asks for "
                f"{getattr(config, name)}; use the configuration that it was trained with"
            )
    saved_encoder = bool(header.get("encoder", False))
    if saved_encoder != (encoder is not None):
        raise CheckpointError(
            f"checkpoint {path} was saved {'while' if saved_encoder else 'without'} training an image encoder; go on "
            f"the same way (finetune.freeze_encoder={str(not saved_encoder).lower()}), or begin a new run"
        )
    agent, tensors = agent_from(payload, header, config or saved, path, device=device, encoder=encoder)
    if not agent.critic_updates and not agent.actor_updates:
        with torch.no_grad():
            agent.raw_temperature.copy_(raw_of(agent.config.initial_temperature))
    return Checkpoint(agent, header["extra"], tensors, CalibrationMark.from_header(header))
