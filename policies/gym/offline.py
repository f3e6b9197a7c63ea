"""Training an agent from a data set alone, with evaluations in the environment on the way."""

from __future__ import annotations

from pathlib import Path

import torch

from policies.agent.agent import Agent
from policies.common.progress import Progress
from policies.gym.acting import GymPolicy, Stream, seed_of
from policies.gym.checkpoint import WHEN_IT_DIVERGES, load_checkpoint, save_checkpoint
from policies.gym.encoding import new_encoder
from policies.gym.environment import interface_of, make_env
from policies.gym.evaluation import evaluate_all
from policies.gym.preparation import Preparation, fitted
from policies.gym.settings import Job, OfflineSettings
from policies.learner.divergence import DivergenceWatch
from policies.learner.record import Record
from policies.replay.replay_settings import ReplaySettings
from trajectories.conditions import require_same_identity
from trajectories.errors import CheckpointError
from trajectories.flat.episode import FlatDataset

AGENT_FILE = "agent.safetensors"
METRICS = "metrics"
_SHOW_EVERY = 20


class OfflineTraining:
    """Updates in the phase "offline" on a data set, resumable bit for bit.

    Attributes:
        updates: Done so far.
        policy: The agent and its preparation.
        path: The checkpoint.
    """

    def __init__(
        self, job: Job, settings: OfflineSettings, data: FlatDataset, folder: Path, device: torch.device | str = "cpu"
    ) -> None:
        """Begin, or go on with the checkpoint that is in the folder.

        Args:
            job: Environment, networks, losses.
            settings: Updates and batches.
            data: As it was read.
            folder: Of the checkpoint and the metrics.
            device: Where the agent lives.

        Raises:
            CheckpointError: The folder holds a checkpoint of something else, or of more updates.
            DatasetError: The data don't fit the environment.
        """
        self.job, self.settings, self.path = job, settings, folder / AGENT_FILE
        self._env = make_env(job.env, images=job.encoder is not None)
        interface = interface_of(self._env)
        own = fitted(data, interface, job.env.id)
        self._identity = job.identity(dataset=own.digest, batch=settings.batch)
        self.updates, begun, seconds = 0, self.path.exists(), {}
        saved = load_checkpoint(self.path, device=device) if begun else None
        if saved is None:
            encoder = new_encoder(job.encoder, interface, job.env.id, job.seed, device)
            preparation = Preparation.fit(job.data, job.agent.gamma, interface.observations, own, encoder)
        else:
            require_same_identity(saved.identity, self._identity, f"The checkpoint {self.path}")
            preparation = saved.preparation
        kept = ReplaySettings(job.agent.n_step, settings.replay_device)
        self._replay = preparation.offline_replay(own, seed_of(job.seed, Stream.OFFLINE_DRAWS), device, kept)
        if saved is not None:
            agent, seconds, self.updates = saved.agent, saved.progress["seconds"], int(saved.progress["steps"])
            self._replay.load_state_dict(saved.tensors)
        else:
            agent = Agent(
                job.agent, preparation.features, 0, interface.actions,
                device=device, seed=job.seed, encoder=preparation.trained,
            )  # fmt: skip
        if self.updates > settings.steps:
            raise CheckpointError(
                f"{self.path} was trained for {self.updates} updates, more than the {settings.steps} asked for. Ask "
                "for at least as many, or give another run_dir."
            )
        self.policy = GymPolicy(agent, preparation)
        self._watch = DivergenceWatch(job.agent, WHEN_IT_DIVERGES)
        self._record = Record(folder / METRICS, self.updates if begun else -1, seconds)

    def run(self, progress: Progress | None = None) -> None:
        """Do the updates that are left; evaluate and save on the way and at the end."""
        settings, agent = self.settings, self.policy.agent
        while self.updates < settings.steps:
            with self._record.timed("learning"):
                batch = self._replay.sample(settings.batch)
                metrics = agent.update(batch)
            self.updates += 1
            last = self.updates == settings.steps
            if last or self.updates % settings.log_every == 0:
                self._watch.look(batch.reward, metrics)
                self._record.write_losses(self.updates, "offline", metrics)
            if last or self.updates % settings.evaluate_every == 0:
                self._evaluate()
            if last or self.updates % settings.checkpoint_every == 0:
                self._save()
            if progress is not None and (last or self.updates % _SHOW_EVERY == 0):
                progress("offline", self.updates, settings.steps)

    def close(self) -> None:
        """Close the environment and the metrics."""
        self._record.close()
        self._env.close()

    def _evaluate(self) -> None:
        with self._record.timed("evaluating"):
            values = evaluate_all(self.policy, self._env, self.job.evaluation)
        self._record.write(self.updates, values)

    def _save(self) -> None:
        self._record.flush()
        counters = {"steps": self.updates, "seconds": self._record.seconds}
        draws = self._replay.state_dict()
        save_checkpoint(self.path, self.policy.agent, self.policy.preparation, self._identity, counters, draws)
