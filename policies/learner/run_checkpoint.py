"""`RunCheckpoint`: the checkpoint of a fine-tuning run, which begins with a pre-trained agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig
from policies.learner.pretrain import AGENT_FILE
from policies.learner.training_state import TrainingState, begin_or_resume
from policies.perception.protocol import Perception
from robot.control.calibration import CalibrationMark
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import RobotSpec

_POLICY = "policy"


@dataclass(frozen=True)
class RunCheckpoint:
    """Implements `training_state.CheckpointFile` for the robot's policies.

    The identity is {"policy": digest of the pre-trained policy}. Progress holds "updates", "wall_s" (seconds that
    learners of this run have been up, all starts together), "snapshot_steps" (environment steps of the newest snapshot)
    and "losses". Environment steps are those of the run's store.

    Attributes:
        path: The file.
        spec: The robot.
        perception: What the policy sees through; its encoder gets the saved weights where the agent trains it.
        agent: Settings to go on with; None for the saved ones.
        freeze_encoder: Go on without training the encoder.
        calibration: Of the arm; None without one.
        device: Where the agent lives.
    """

    path: Path
    spec: RobotSpec
    perception: Perception
    agent: AgentConfig | None
    freeze_encoder: bool
    calibration: CalibrationMark | None
    device: torch.device | str

    def begin_or_resume(self, pretrained: Path, policy: str) -> TrainingState:
        """The state of the run, or that of a new one.

        Args:
            pretrained: Folder written by `pretrain`.
            policy: Digest of its policy.

        Raises:
            CheckpointError: A file is missing or damaged, or the run began with another policy.
            ConfigError: The settings go on training an encoder that there is not.
            SpecMismatchError: A file was made for another robot.
        """
        if not self.freeze_encoder and self.perception.trained is None:
            raise ConfigError(
                f"finetune.freeze_encoder=false, but the critics don't train what {pretrained} sees through "
                f"({self.perception.kind}). Set it to true, or pre-train with encoder=cnn, resnet or clip and "
                "pretrain.freeze_encoder=false, in another run_dir."
            )
        if self.perception.encoder is not None:
            self.perception.encoder.to(self.device)
        return begin_or_resume(
            self,
            {_POLICY: policy},
            lambda: self._begin(pretrained),
            f"The run in {self.path.parent}",
            f"Go on with the pre-trained folder that it began with in place of {pretrained}, or begin a new run.",
        )

    def read(self) -> TrainingState:
        """See `CheckpointFile.read`."""
        if self.freeze_encoder and self.perception.trained is not None:
            self.perception.trained.freeze()
        encoder = self.perception.trained
        loaded = load_agent(self.path, self.spec, device=self.device, config=self.agent, encoder=encoder)
        progress = dict(loaded.extra)
        identity = {_POLICY: progress.pop(_POLICY)}
        return TrainingState(loaded.agent, identity, progress, loaded.tensors)

    def write(self, state: TrainingState) -> None:
        """See `CheckpointFile.write`."""
        extra = {**state.progress, **state.identity}
        save_agent(self.path, state.agent, self.spec, extra, state.draws, self.calibration)

    def _begin(self, pretrained: Path) -> Agent:
        """The agent of pre-training."""
        encoder, path = self.perception.trained, pretrained / AGENT_FILE
        loaded = load_agent(path, self.spec, device=self.device, config=self.agent, encoder=encoder)
        if loaded.extra.get("features") != self.perception.digest:
            raise CheckpointError(f"{pretrained} mixes files of two policies; copy whole folders only.")
        if self.freeze_encoder:
            loaded.agent.freeze_encoder()
        return loaded.agent
