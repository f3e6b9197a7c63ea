"""`Learner`: takes episodes in, improves the pre-trained agent, gives policies out.

The agent is restored whole (parameters, targets, optimiser moments, temperature) and goes on online (WSRL,
arXiv 2412.07762): the replay starts empty, nothing is learned in the warm-up, then every environment step pays for
one update of `utd` critic steps and one actor step. Two variants mix offline data into the batches.

Threads: actors' calls come from the link's threads, `train` from one other. Episodes cross over in `_incoming`; the
agent and the replay belong to the training thread alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import Phase
from policies.learner.kept_data import KeptData
from policies.learner.learner_config import LearnerConfig
from policies.learner.learner_status import LearnerStatus
from policies.learner.metrics import MetricsLog
from policies.learner.pretrain import AGENT_FILE
from policies.learner.rate_limiter import UpdateRateLimiter
from policies.learner.run_folder import SNAPSHOT_FILE, Progress, RunFolder, write_json
from policies.learner.training_record import TrainingRecord
from policies.perception.rewording import Wordings
from policies.policy import load_policy, save_policy
from policies.replay.dataset import ReplayEpisode, for_replay
from policies.replay.replay_memory import frames_within
from policies.replay.replay_settings import ReplaySettings
from policies.replay.run_replay import RunReplay
from policies.replay.source_weights import SourceWeights
from robot.control.calibration import CalibrationMark
from robot.interfaces import Receipt
from robot.link.codec import make_weights
from trajectories.errors import CheckpointError, ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec, Weights

logger = logging.getLogger(__name__)
_SPARE_FRAMES = 10_000


class Learner:
    """Implements `robot.interfaces.LearnerEndpoint`."""

    def __init__(
        self,
        run: Path,
        pretrained: Path,
        spec: RobotSpec,
        config: LearnerConfig,
        *,
        offline: Sequence[TrajectoryStore] = (),
        task: str | None = None,
        wordings: Wordings | None = None,
        device: torch.device | str = "cpu",
        seed: int = 0,
        calibration: CalibrationMark | None = None,
    ) -> None:
        """Start a run, or go on with the one that is in the folder.

        Args:
            run: Folder of the run.
            pretrained: Folder written by `pretrain`.
            spec: The robot.
            config: Settings.
            offline: Stores of offline data; read only when the method keeps some.
            task: The target task, see `KeptData`.
            wordings: Its instructions, see `KeptData`; None leaves each offline episode its own.
            device: Where the agent lives.
            seed: Of the draws from the replay.
            calibration: Of the arm; None keeps that of the pre-trained policy.

        Raises:
            CheckpointError: A checkpoint is missing, damaged or of another pre-trained policy.
            SpecMismatchError: Something was made for another robot.
            ConfigError: Settings contradict each other.
            StoreError: The run's store can't be opened, or another learner has it.
        """
        self.config, self.spec = config, spec
        self.folder = RunFolder(run)
        policy = load_policy(pretrained, spec)
        self.perception, self.digest = policy.perception, policy.digest
        if not config.freeze_encoder and self.perception.trained is None:
            raise ConfigError(
                f"finetune.freeze_encoder=false, but the critics don't train what {pretrained} sees through "
                f"({self.perception.kind}). Set it to true, or pre-train with encoder=cnn, resnet or clip."
            )
        if self.perception.encoder is not None:
            self.perception.encoder.to(device)
        self.calibration = calibration or policy.calibration
        self._rate_limiter = UpdateRateLimiter(config.warmup_steps, config.max_lag)
        self._state = threading.Condition()
        self._put = threading.Lock()
        self._started = time.monotonic()
        self.store = TrajectoryStore(self.folder.episodes, spec)
        try:
            self._agent, self._progress, tensors = self._restore(pretrained, device)
            self._kept = self._refill(device, seed)
            self._replay = self._kept.replay
            kept = KeptData(offline, task, wordings or {})
            self._source = kept.mix(self._replay, self.perception, config, seed + 1)
            self._restore_draws(tensors)
            self._log = MetricsLog(self.folder.metrics)
        except BaseException:
            self.store.close()
            raise
        self._incoming: list[tuple[Episode, ReplayEpisode]] = []
        self._version = self.folder.published()
        self._weights: Weights | None = None
        self._metrics: dict[str, Any] = {}
        self._rate_from = (self._progress.updates, time.monotonic())
        if self._progress.updates > 0:
            self._publish()

    # -- what actors call --------------------------------------------------------------------------------------

    def hello(self, spec: RobotSpec, policy_digest: str) -> int:
        """See `LearnerEndpoint.hello`."""
        self.spec.require_same(spec, "The actor")
        if policy_digest != self.digest:
            raise CheckpointError(
                f"The actor starts from policy {policy_digest[:12]}, this run from {self.digest[:12]}: give both the "
                "same pre-trained folder."
            )
        return self._version

    def put_episode(self, episode: Episode) -> Receipt:
        """See `LearnerEndpoint.put_episode`.

        Raises:
            ConfigError: The instruction is unknown to the policy.
            InvalidEpisodeError, StoreError: The episode is malformed or can't be stored.
        """
        self.perception.instruction(episode.instruction)
        with self._put:
            known = episode.id in self.store
            self.store.commit(episode)
            if not known:
                encoded = for_replay(episode, self.perception, self._agent.config.gamma)
                with self._state:
                    self._incoming.append((episode, encoded))
                    self._steps += len(episode)
                    self._episodes += 1
                    self._state.notify_all()
        with self._state:
            return Receipt(self._steps, self._episodes)

    def weights(self, newer_than: int) -> Weights | None:
        """See `LearnerEndpoint.weights`."""
        with self._state:
            newest = self._weights
        return newest if newest is not None and newest.version > newer_than else None

    def may_act(self, timeout_s: float) -> bool:
        """See `LearnerEndpoint.may_act`."""
        with self._state:
            return self._state.wait_for(
                lambda: self._rate_limiter.may_act(self._steps, self._progress.updates), max(0.0, timeout_s)
            )

    def finished(self) -> bool:
        """See `LearnerEndpoint.finished`."""
        with self._state:
            return self._steps >= self.config.steps

    # -- learning ----------------------------------------------------------------------------------------------
    @property
    def owed(self) -> int:
        """Updates that are due."""
        with self._state:
            return self._rate_limiter.owed(self._steps, self._progress.updates)

    @property
    def complete(self) -> bool:
        """All steps are in and learned from."""
        return self.finished() and self.owed == 0

    @property
    def status(self) -> LearnerStatus:
        """Where the run stands."""
        with self._state:
            updates = self._progress.updates
            owed = self._rate_limiter.owed(self._steps, updates)
            success = {name: self._record.rate(name) for name in ("forward", "backward")}
            return LearnerStatus(self._steps, self._episodes, updates, owed, self._version, success)

    def train(self, budget: int | None = None) -> int:
        """Do the updates that are due, at most `budget`; returns how many."""
        done = 0
        while budget is None or done < budget:
            self._take_in()
            if self.owed == 0 or len(self._replay) == 0:
                break
            self._update()
            done += 1
        if done and self.complete:
            self._finish()
        return done

    def take_turn(self) -> None:
        """Everything that is due: for a learner in the actor's process (`ActorOptions.between_episodes`)."""
        self.train()

    def wait(self, timeout_s: float) -> None:
        """Wait until an update is due, but not longer than that."""
        with self._state:
            self._state.wait_for(
                lambda: self._rate_limiter.owed(self._steps, self._progress.updates) > 0, max(0.0, timeout_s)
            )

    def save(self) -> None:
        """Write a checkpoint; call from the training thread.

        Raises:
            CheckpointError: The disk refuses, or the agent isn't finite any more; the checkpoint before stays.
        """
        self._require_finite()
        progress = replace(self._progress, wall_s=self._wall_s())
        save_agent(
            self.folder.checkpoint,
            self._agent,
            self.spec,
            progress.to_dict(),
            self._source.state_dict(),
            self.calibration,
        )
        self._kept.save(if_grown=True)
        self._log.flush()

    def close(self) -> None:
        """Save, and let another learner have the run."""
        try:
            self._take_in()
            self.save()
            self._kept.save()
        finally:
            self._log.close()
            self.store.close()

    # -- inside ------------------------------------------------------------------------------------------------

    def _restore(self, pretrained: Path, device: torch.device | str) -> tuple[Agent, Progress, dict[str, torch.Tensor]]:
        """The agent of the run's checkpoint, or that of pre-training; freezes the encoder where it shall be frozen."""
        encoder, settings = self.perception.trained, self.config.agent
        if not self.folder.checkpoint.exists():
            loaded = load_agent(pretrained / AGENT_FILE, self.spec, device=device, config=settings, encoder=encoder)
            if loaded.extra.get("features") != self.perception.digest:
                raise CheckpointError(f"{pretrained} mixes files of two policies; copy whole folders only.")
            if self.config.freeze_encoder:
                loaded.agent.freeze_encoder()
            return loaded.agent, Progress(policy=self.digest), {}
        if self.config.freeze_encoder and encoder is not None:
            encoder.freeze()
        encoder = self.perception.trained
        loaded = load_agent(self.folder.checkpoint, self.spec, device=device, config=settings, encoder=encoder)
        progress = Progress(**loaded.extra)
        if progress.policy != self.digest:
            raise CheckpointError(
                f"The run in {self.folder.path} began with policy {progress.policy[:12]}, but {pretrained} holds "
                f"{self.digest[:12]}. Go on with the pre-trained folder that it began with, or begin a new run."
            )
        return loaded.agent, progress, dict(loaded.tensors)

    def _refill(self, device: torch.device | str, seed: int) -> RunReplay:
        """A replay of the episodes that are in the store."""
        held = sum(info.length + 1 for info in self.store.infos())
        weights = SourceWeights(person=self.config.person_weight)
        fields = self.perception.fields
        most = frames_within(self.config.replay_bytes, fields, weighted=not weights.uniform)
        capacity = min(max(2 * self.config.steps, held) + _SPARE_FRAMES, most)
        gamma = self._agent.config.gamma
        settings = ReplaySettings(self._agent.config.n_step, self.config.replay_device)
        replay = settings.empty(capacity, fields, gamma=gamma, device=device, seed=seed, weights=weights)
        kept = RunReplay(self.folder.replay, replay, self.perception)
        self._record = TrainingRecord()
        self._steps = self._episodes = 0
        for info in kept.refill(self.store):
            self._record.count(info.direction, info.outcome)
            self._steps += info.length
            self._episodes += 1
        return kept

    def _restore_draws(self, draws: dict[str, torch.Tensor]) -> None:
        """Go on with the batches where the checkpoint was."""
        if not draws:
            return
        try:
            self._source.load_state_dict(draws)
        except ConfigError as error:
            logger.warning("the draws go on from a new seed: %s", error)

    def _take_in(self) -> None:
        """Move what has arrived into the replay."""
        with self._state:
            arrived, self._incoming = self._incoming, []
            total = self._steps - sum(len(episode) for episode, _ in arrived)
        for episode, encoded in arrived:
            self._kept.add(episode, encoded)
            total += len(episode)
            self._log.write(total, self._wall_s(), self._record.add(episode, encoded.rewards))

    def _update(self) -> None:
        config, updates = self.config, self._progress.updates
        self._agent.set_phase(self._phase(updates))
        batch = self._source.sample(config.batch * config.utd)
        self._metrics |= self._agent.update(batch, config.utd)
        updates += 1
        with self._state:
            self._progress = replace(self._progress, updates=updates)
            self._state.notify_all()
        if updates % config.publish_every == 0:
            self._publish()
        if updates % config.log_every == 0:
            self._log_losses()
        trained = self._trained()
        if trained // config.snapshot_every > self._progress.snapshot_steps // config.snapshot_every:
            self._snapshot(trained - trained % config.snapshot_every)
        if updates % config.checkpoint_every == 0:
            self.save()

    def _finish(self) -> None:
        """The last policy: published, kept and checkpointed."""
        if self._progress.snapshot_steps < self.config.steps:
            self._publish()
            self._snapshot(self.config.steps)
            self.save()

    def _phase(self, updates: int) -> Phase:
        return "warmup" if updates < self.config.critic_only else "online"

    def _trained(self) -> int:
        with self._state:
            return self._rate_limiter.trained_steps(self._steps, self._progress.updates)

    def _require_finite(self) -> None:
        """Refuse to hand on, or to keep, an agent whose learning diverged.

        Raises:
            CheckpointError: A parameter of policy or critics is infinite or not a number.
        """
        if self._agent.finite:
            return
        raise CheckpointError(
            f"Learning diverged: after {self._progress.updates} updates the policy or its critics hold numbers that "
            f"aren't finite. They were not saved; {self.folder.checkpoint} is as it was before. Look at the losses in "
            f"{self.folder.metrics}, then go on with a smaller +agent.critic_lr or +agent.actor_lr (3e-4). If it "
            "happens again at once, delete that file: learning then begins anew from the stored episodes."
        )

    def _publish(self) -> None:
        self._require_finite()
        version = self._version + 1
        tensors = {name: tensor.numpy() for name, tensor in self._agent.actor_weights().items()}
        weights = make_weights(version, tensors)
        self.folder.note_published(version)
        with self._state:
            self._weights, self._version = weights, version

    def _snapshot(self, steps: int) -> None:
        folder = self.folder.snapshot(steps)
        networks, weights = self._agent.config.networks, self._agent.actor_weights()
        save_policy(folder, self.perception, networks, weights, self.calibration)
        content = {"steps": steps, "updates": self._progress.updates, "wall_s": round(self._wall_s(), 1)}
        write_json(folder / SNAPSHOT_FILE, {**content, "method": self.config.method})
        self._progress = replace(self._progress, snapshot_steps=steps)

    def _log_losses(self) -> None:
        before, since = self._rate_from
        now = time.monotonic()
        values = {name: float(value) for name, value in self._metrics.items()}
        values["updates_per_s"] = (self._progress.updates - before) / max(now - since, 1e-9)
        values["owed"] = float(self.owed)
        self._log.write(self._trained(), self._wall_s(), values)
        self._rate_from = (self._progress.updates, now)

    def _wall_s(self) -> float:
        return self._progress.wall_s + time.monotonic() - self._started
