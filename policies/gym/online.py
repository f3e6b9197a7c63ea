"""Training an agent by acting in a Gymnasium environment: one process, deterministic, resumable bit for bit.

    reset -> [act -> step -> update (utd critic steps, one of the actor)] until the episode is over -> replay

Phases, batches and updates are those of `policies.learner.online_trainer`. The replay takes whole episodes, so what an
update draws from ends with the last finished one. Time-limit truncation bootstraps; termination doesn't. A checkpoint
is taken between episodes, and nothing in the environment has to be kept: every reset has its own seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.agent.agent import Agent
from policies.common.progress import Progress
from policies.gym.acting import GymPolicy, Stream, seed_of
from policies.gym.checkpoint import WHEN_IT_DIVERGES, OnlineCheckpoint, load_checkpoint, with_draws_of_before
from policies.gym.encoding import new_encoder
from policies.gym.environment import Interface, interface_of, make_env
from policies.gym.evaluation import EpisodeResult, evaluate_all, success_of, summary
from policies.gym.observation_spaces import Frames, vector_of
from policies.gym.offline import AGENT_FILE, METRICS
from policies.gym.preparation import Preparation, fitted
from policies.gym.settings import Job, OnlineSettings
from policies.learner.online_trainer import OnlineTrainer
from policies.learner.record import Record
from policies.learner.training_state import begin_or_resume
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from policies.replay.replay_settings import ReplaySettings
from trajectories.conditions import require_same_identity
from trajectories.errors import CheckpointError, ConfigError
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.types import Float32, Source


def needs_data(job: Job, settings: OnlineSettings, from_scratch: bool) -> bool:
    """Whether training online takes the data set: to mix batches, or to normalise observations from scratch."""
    return settings.offline_ratio > 0 or (from_scratch and job.data.normalise)


def _beginning_of(identity: Mapping[str, Any], freezes: bool) -> dict[str, Any]:
    """What a checkpoint and the job that begins with it must have in common; an encoder may be frozen then."""
    same = {name: identity.get(name) for name in ("env", "data", "seed", "encoder")}
    if freezes and same["encoder"] is not None:
        same["encoder"] = {**same["encoder"], "frozen": True}
    return same


class OnlineTraining:
    """Acts and learns in turns.

    Attributes:
        policy: The agent and its preparation.
        path: The checkpoint.
        trainer: What learns.
    """

    def __init__(
        self,
        job: Job,
        settings: OnlineSettings,
        folder: Path,
        *,
        start: Path | None = None,
        data: FlatDataset | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Begin, or go on with the checkpoint that is in the folder.

        Args:
            job: Environment, networks, losses.
            settings: Steps, updates, batches.
            folder: Of the checkpoint, the replay and the metrics.
            start: Checkpoint of `OfflineTraining` to begin with; None begins from scratch.
            data: The data set, as it was read; needed where `needs_data` says so.
            device: Where the agent lives.

        Raises:
            CheckpointError: The folder holds a checkpoint of something else, or `start` doesn't fit.
            ConfigError: Batches shall be mixed and there are no data.
            DatasetError: The data don't fit the environment.
        """
        self.job, self.settings, self.folder, self.path = job, settings, folder, folder / AGENT_FILE
        if settings.offline_ratio > 0 and data is None:
            raise ConfigError(
                f"offline_ratio={settings.offline_ratio} mixes in a data set, and none is given; give dataset=FILE, or "
                "set offline_ratio=0."
            )
        images = job.encoder is not None
        self._env, self._evaluation_env = (make_env(job.env, images) for _ in range(2))
        interface = interface_of(self._env)
        own = None if data is None else fitted(data, interface, job.env.id)
        agent, preparation, origin = self._beginning(interface, own, start, device)
        kept = {"offline_ratio": settings.offline_ratio, "capacity": settings.capacity}
        digest = None if own is None else own.digest
        identity = job.identity(start=origin, dataset=digest, schedule=asdict(settings.schedule) | kept)
        file = OnlineCheckpoint(self.path, preparation, device)
        state = begin_or_resume(file, identity, lambda: agent)
        self._saved_at, self._episodes = (int(state.progress.get(name, 0)) for name in ("steps", "episodes"))
        self._require_steps_to_do(state.progress)
        self._random = start is None
        if preparation.trained is not None:  # a checkpoint's agent brings the encoder that it trains
            preparation = replace(preparation, encoder=state.agent.encoder)
        self.policy = GymPolicy(state.agent, preparation)
        self._replay, source = self._replays(state.progress, own, interface, device)
        begun = bool(state.progress)
        self._record = Record(folder / METRICS, self._saved_at if begun else -1, state.progress.get("seconds", {}))
        self.trainer = OnlineTrainer(
            with_draws_of_before(state, source), file, settings.schedule, source,
            steps=self._saved_at, log_every=settings.log_every, log=self._log_losses, advice=WHEN_IT_DIVERGES,
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self.trainer.pace.steps

    @property
    def updates(self) -> int:
        """Updates so far, each of `utd` critic steps and one of the actor."""
        return self.trainer.updates

    def run(self, progress: Progress | None = None) -> None:
        """Act and learn until the steps are done and the last episode is over; nothing when they are already."""
        if self.steps == 0:
            self._evaluate()
        while self.steps < self.settings.steps:
            self._add(*self._episode(progress))
            over = self.steps >= self.settings.steps
            if over or self.steps - self._saved_at >= self.settings.checkpoint_every:
                self._save()

    def close(self) -> None:
        """Close the environments and the metrics."""
        self._record.close()
        self._env.close()
        self._evaluation_env.close()

    # -- acting ------------------------------------------------------------------------------------------------

    def _episode(self, progress: Progress | None) -> tuple[FlatEpisode, EpisodeResult]:
        """Act through one episode, learning meanwhile."""
        random = np.random.default_rng(seed_of(self.job.seed, Stream.RANDOM_ACTIONS, self._episodes))
        observation, _ = self._env.reset(seed=seed_of(self.job.seed, Stream.TRAINING, self._episodes))
        seen, images, actions, rewards = [vector_of(observation)], Frames(observation), [], []
        terminated = truncated = False
        success = None
        while not (terminated or truncated):
            with self._record.timed("acting"):
                action = self._act(observation, random)
                observation, reward, terminated, truncated, info = self._env.step(action)
            success = success_of(info, success)
            seen.append(vector_of(observation))
            images.append(observation)
            actions.append(action)
            rewards.append(float(reward))
            self.trainer.pace.add_steps(1)
            with self._record.timed("learning"):
                self.trainer.update()
            if self.steps % self.settings.evaluate_every == 0 or self.steps == self.settings.steps:
                self._evaluate()
            if progress is not None:
                progress("online", min(self.steps, self.settings.steps), self.settings.steps)
        episode = FlatEpisode.of(seen, actions, rewards, bool(terminated), images.stacked())
        return episode, EpisodeResult(sum(rewards), len(rewards), success)

    def _act(self, observation: Any, random: np.random.Generator) -> Float32:
        """By the policy, or uniformly at random in the warm-up of a run from scratch (as RLPD's and SAC's do)."""
        if self._random and self.steps < self.settings.warmup_steps:
            size = self._replay.action_size
            return self.policy.preparation.action(random.uniform(-1.0, 1.0, size).astype(np.float32))
        return self.policy.act(observation, deterministic=False)

    def _add(self, episode: FlatEpisode, result: EpisodeResult) -> None:
        self.policy.preparation.add(self._replay, episode, Source.POLICY)
        self._episodes += 1
        self._record.write(self.steps, summary([result], "train"))

    # -- measuring ---------------------------------------------------------------------------------------------

    def _log_losses(self, losses: dict[str, float]) -> None:
        self._record.write(self.steps, {f"online/{name}": value for name, value in losses.items()})

    def _evaluate(self) -> None:
        with self._record.timed("evaluating"):
            values = evaluate_all(self.policy, self._evaluation_env, self.job.evaluation)
        self._record.write(self.steps, values)

    # -- keeping -----------------------------------------------------------------------------------------------

    def _beginning(
        self, interface: Interface, data: FlatDataset | None, start: Path | None, device: torch.device | str
    ) -> tuple[Agent, Preparation, str | None]:
        """Agent and preparation to begin with, and the digest of the checkpoint they are from."""
        job = self.job
        if start is None:
            encoder = new_encoder(job.encoder, interface, job.env.id, job.seed, device)
            fitted_to = Preparation.fit(job.data, job.agent.gamma, interface.observations, data, encoder)
            agent = Agent(
                job.agent, fitted_to.features, 0, interface.actions,
                device=device, seed=job.seed, encoder=fitted_to.trained,
            )  # fmt: skip
            return agent, fitted_to, None
        saved = load_checkpoint(start, device=device, config=job.agent)
        here, freezes = job.identity(), job.encoder is not None and job.encoder.frozen
        require_same_identity(
            _beginning_of(saved.identity, freezes),
            _beginning_of(here, freezes),
            f"The checkpoint {start}",
            "Begin with one of the same environment, data, encoder and seed, or take its settings.",
        )
        if freezes:
            saved.agent.freeze_encoder()
        return saved.agent, saved.preparation, saved.digest

    def _require_steps_to_do(self, progress: Mapping[str, Any]) -> None:
        """Refuse a checkpoint that has gone further than is asked for."""
        if self._saved_at > self.settings.steps != progress["asked"]:
            raise CheckpointError(
                f"{self.path} has gone {self._saved_at} steps, more than the {self.settings.steps} asked for. Ask for "
                "at least as many, or give another run_dir."
            )

    def _replays(
        self,
        progress: Mapping[str, Any],
        data: FlatDataset | None,
        interface: Interface,
        device: torch.device | str,
    ) -> tuple[Replay, Replay | MixedReplay]:
        """What was acted so far, and what batches are drawn from: that, or its mix with the data."""
        seeds = [seed_of(self.job.seed, stream) for stream in (Stream.ONLINE_DRAWS, Stream.OFFLINE_DRAWS)]
        settings, preparation = self.settings, self.policy.preparation
        kept = ReplaySettings(self.job.agent.n_step, settings.replay_device)
        online = preparation.empty_replay(interface.actions, settings.capacity, seeds[0], device, kept)
        if progress:
            online.load(self.folder / str(progress["replay"]))
        if data is None or settings.offline_ratio == 0:
            return online, online
        offline = preparation.offline_replay(data, seeds[1], device, kept)
        return online, MixedReplay(online, offline, settings.offline_ratio)

    def _save(self) -> None:
        """The replay under a name of its own, then the checkpoint that names it, so that the two always fit."""
        self._record.flush()
        name = f"replay_{self.steps}.safetensors"
        self._replay.save(self.folder / name)
        progress = {
            "steps": self.steps,
            "episodes": self._episodes,
            "asked": self.settings.steps,
            "replay": name,
            "seconds": self._record.seconds,
        }
        self.trainer.save(progress)
        self._saved_at = self.steps
        for path in self.folder.glob("replay_*.safetensors"):
            if path.name != name:
                path.unlink()
