"""Training an agent by acting in a Gymnasium environment: one process, deterministic, resumable bit for bit.

    reset -> [act -> step -> update (utd critic steps, one of the actor)] until the episode is over -> replay

The replay takes whole episodes, so what an update draws from ends with the last finished one. Phases follow WSRL (arXiv
2412.07762): no update in the warm-up, then `critic_only` updates with the losses of the phase "warmup", then "online".
Time-limit truncation bootstraps; termination doesn't. A checkpoint is taken between episodes, and nothing in the
environment has to be kept: every reset has its own seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.agent.agent import Agent
from policies.common.identity import require_same_identity
from policies.gym.acting import GymPolicy, Stream, seed_of
from policies.gym.checkpoint import load_checkpoint, save_checkpoint
from policies.gym.environment import Interface, interface_of, make_env
from policies.gym.evaluation import EpisodeResult, evaluate_all, success_of, summary
from policies.gym.offline import AGENT_FILE, METRICS, WHEN_IT_DIVERGES, Progress
from policies.gym.preparation import Preparation, fitted
from policies.gym.settings import Job, OnlineSettings
from policies.learner.divergence import DivergenceWatch
from policies.learner.record import Record
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from policies.replay.replay_settings import ReplaySettings
from trajectories.errors import CheckpointError, ConfigError
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.types import Float32, Source

_SCHEDULE = ("batch", "utd", "offline_ratio", "warmup_steps", "critic_only", "capacity")


def needs_data(job: Job, settings: OnlineSettings, from_scratch: bool) -> bool:
    """Whether training online takes the data set: to mix batches, or to normalise observations from scratch."""
    return settings.offline_ratio > 0 or (from_scratch and job.data.normalise)


class OnlineTraining:
    """Acts and learns in turns.

    Attributes:
        steps: Environment steps so far.
        updates: Updates so far, each of `utd` critic steps and one of the actor.
        policy: The agent and its preparation.
        path: The checkpoint.
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
        self._env, self._evaluation_env = make_env(job.env), make_env(job.env)
        interface = interface_of(self._env)
        own = None if data is None else fitted(data, interface, job.env.id)
        agent, preparation, origin = self._beginning(interface, own, start, device)
        schedule = {name: getattr(settings, name) for name in _SCHEDULE}
        digest = None if own is None else own.digest
        self._identity = job.identity(start=origin, dataset=digest, schedule=schedule)
        seeds = [seed_of(job.seed, stream) for stream in (Stream.ONLINE_DRAWS, Stream.OFFLINE_DRAWS)]
        sizes = (interface.observations, interface.actions)
        kept = ReplaySettings(job.agent.n_step, settings.replay_device)
        self._replay = preparation.empty_replay(sizes, settings.capacity, seeds[0], device, kept)
        self._offline = None
        if own is not None and settings.offline_ratio > 0:
            self._offline = preparation.offline_replay(own, seeds[1], device, kept)
        self.steps = self.updates = self._episodes = 0
        self._random = start is None
        begun = self.path.exists()
        seconds: dict[str, float] = {}
        if begun:
            agent, seconds = self._restore(device)
        self.policy = GymPolicy(agent, preparation)
        self._source: Replay | MixedReplay = self._replay
        if self._offline is not None:
            self._source = MixedReplay(self._replay, self._offline, settings.offline_ratio)
        self._record = Record(folder / METRICS, self.steps if begun else -1, seconds)
        self._watch = DivergenceWatch(job.agent, WHEN_IT_DIVERGES)
        self._saved_at = self.steps

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
        seen, actions, rewards = [observation], [], []
        terminated = truncated = False
        success = None
        while not (terminated or truncated):
            with self._record.timed("acting"):
                action = self._act(observation, random)
                observation, reward, terminated, truncated, info = self._env.step(action)
            success = success_of(info, success)
            seen.append(observation)
            actions.append(action)
            rewards.append(float(reward))
            self.steps += 1
            self._learn()
            if self.steps % self.settings.evaluate_every == 0 or self.steps == self.settings.steps:
                self._evaluate()
            if progress is not None:
                progress("online", min(self.steps, self.settings.steps), self.settings.steps)
        episode = FlatEpisode.of(seen, actions, rewards, bool(terminated))
        return episode, EpisodeResult(sum(rewards), len(rewards), success)

    def _act(self, observation: NDArray[Any], random: np.random.Generator) -> Float32:
        """By the policy, or uniformly at random in the warm-up of a run from scratch (as RLPD's and SAC's do)."""
        if self._random and self.steps < self.settings.warmup_steps:
            size = self._replay.action_size
            return self.policy.preparation.action(random.uniform(-1.0, 1.0, size).astype(np.float32))
        return self.policy.act(observation, deterministic=False)

    def _add(self, episode: FlatEpisode, result: EpisodeResult) -> None:
        self.policy.preparation.add(self._replay, episode, Source.POLICY)
        self._episodes += 1
        self._record.write(self.steps, summary([result], "train"))

    # -- learning ----------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """One update, once the warm-up is over and the replay holds an episode."""
        settings = self.settings
        size = settings.batch * settings.utd
        if self.steps <= settings.warmup_steps or len(self._replay) == 0:
            return
        with self._record.timed("learning"):
            self.policy.agent.set_phase("warmup" if self.updates < settings.critic_only else "online")
            batch = self._source.sample(size)
            metrics = self.policy.agent.update(batch, settings.utd)
        self.updates += 1
        if self.updates % settings.log_every == 0:
            self._watch.look(batch.reward, metrics)
            self._record.write_losses(self.steps, "online", metrics)

    def _evaluate(self) -> None:
        with self._record.timed("evaluating"):
            values = evaluate_all(self.policy, self._evaluation_env, self.job.evaluation)
        self._record.write(self.steps, values)

    # -- keeping -----------------------------------------------------------------------------------------------

    def _beginning(
        self, interface: Interface, data: FlatDataset | None, start: Path | None, device: torch.device | str
    ) -> tuple[Agent, Preparation, str | None]:
        """Agent and preparation to begin with, and the digest of the checkpoint they are from."""
        job, sizes = self.job, (interface.observations, interface.actions)
        if start is None:
            agent = Agent(job.agent, sizes[0], 0, sizes[1], device=device, seed=job.seed)
            return agent, Preparation.fit(job.data, job.agent.gamma, sizes[0], data), None
        saved = load_checkpoint(start, device=device, config=job.agent)
        same = ("env", "data", "seed")
        here = job.identity()
        require_same_identity(
            {name: saved.identity[name] for name in same},
            {name: here[name] for name in same},
            f"The checkpoint {start}",
            "Begin with one of the same environment, data and seed, or take its settings.",
        )
        return saved.agent, saved.preparation, saved.digest

    def _restore(self, device: torch.device | str) -> tuple[Agent, dict[str, float]]:
        """Go on with the checkpoint in the folder."""
        saved = load_checkpoint(self.path, device=device)
        require_same_identity(saved.identity, self._identity, f"The checkpoint {self.path}")
        progress: Mapping[str, Any] = saved.progress
        self.steps, self.updates, self._episodes = (int(progress[name]) for name in ("steps", "updates", "episodes"))
        if self.steps > self.settings.steps != progress["asked"]:
            raise CheckpointError(
                f"{self.path} has gone {self.steps} steps, more than the {self.settings.steps} asked for. Ask for at "
                "least as many, or give another run_dir."
            )
        self._replay.load(self.folder / str(progress["replay"]))
        if self._offline is not None:
            self._offline.load_state_dict(saved.tensors)
        return saved.agent, dict(progress["seconds"])

    def _save(self) -> None:
        """The replay under a name of its own, then the checkpoint that names it, so that the two always fit."""
        self._record.flush()
        name = f"replay_{self.steps}.safetensors"
        self._replay.save(self.folder / name)
        progress = {
            "steps": self.steps,
            "updates": self.updates,
            "episodes": self._episodes,
            "asked": self.settings.steps,
            "replay": name,
            "seconds": self._record.seconds,
        }
        draws = {} if self._offline is None else self._offline.state_dict()
        agent, preparation = self.policy.agent, self.policy.preparation
        save_checkpoint(self.path, agent, preparation, self._identity, progress, draws)
        self._saved_at = self.steps
        for path in self.folder.glob("replay_*.safetensors"):
            if path.name != name:
                path.unlink()
