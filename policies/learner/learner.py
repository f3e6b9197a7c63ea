"""`Learner`: takes episodes in, improves the pre-trained agent, gives policies out.

The replay starts empty; what is learned from it, and when, is `policies.learner.online_trainer`'s.

Threads: actors' calls come from the link's threads, `train` from one other. Episodes cross over in `_incoming`; trainer
and replay belong to the training thread alone, but for the trainer's pace, which counts for both.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from policies.agent.agent import Agent
from policies.common.orders import tell
from policies.common.ranks import ALONE, Ranks
from policies.common.refused_writes import RefusedWrites, wait_for_room
from policies.learner.divergence import require_finite
from policies.learner.fleet import Fleet, actors_left, require_same_policy, with_counts
from policies.learner.follower import END, begin_together, online_replay, weights_of
from policies.learner.kept_data import KeptData
from policies.learner.lag import seconds_an_update
from policies.learner.learner_config import LearnerConfig
from policies.learner.learner_status import ActorView, LearnerStatus
from policies.learner.online_trainer import OnlineTrainer
from policies.learner.published_policies import PublishedPolicies
from policies.learner.run_checkpoint import RunCheckpoint
from policies.learner.run_conditions import keep_run_conditions
from policies.learner.run_folder import RunFolder
from policies.learner.run_metrics import RunMetrics
from policies.perception.rewording import Wordings
from policies.policy import load_policy
from policies.replay.dataset import ReplayEpisode, for_replay, read_whole
from policies.replay.replay_memory import frames_within
from policies.replay.run_replay import RunReplay
from policies.replay.shaping import Shaping
from robot.control.calibration import CalibrationMark
from robot.fleet import ActorIdentity, ActorReport
from robot.interfaces import Receipt
from trajectories.alignment import EpisodeSource
from trajectories.kinds import was_unsure
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, Episode, RobotSpec, Weights
from trajectories.verdicts import Verdict, VerdictBook

logger = logging.getLogger(__name__)
_SPARE_FRAMES = 10_000
_ADVICE = "Go on with a smaller +agent.critic_lr or +agent.actor_lr (3e-4) and finetune.accept_changes=true."


class Learner:
    """Implements `robot.fleet.FleetEndpoint`.

    Attributes:
        config: Settings.
        spec: The robot.
        folder: Of the run.
        given_up: Whether somebody ends the learner while it waits for room on the disk with the last policy.
        perception: What the policies see through.
        digest: Of the pre-trained policy.
        store: Every episode of the run.
        verdicts: What people said about them; `regrasp review` adds to it, too.
        fleet: The actors.
        trainer: What learns.
    """

    def __init__(
        self,
        run: Path,
        pretrained: Path,
        spec: RobotSpec,
        config: LearnerConfig,
        *,
        offline: Sequence[EpisodeSource] = (),
        task: str | None = None,
        wordings: Wordings | None = None,
        device: torch.device | str = "cpu",
        seed: int = 0,
        calibration: CalibrationMark | None = None,
        notify: Callable[[str], None] = logger.warning,
        ranks: Ranks = ALONE,
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
            notify: Gets a line for people when the disk refuses what is written on the way, and when it is over.
            ranks: Processes that learn together; this is the first, the others are `follower.Follower`s.

        Raises:
            CheckpointError: A checkpoint is missing, damaged or of another pre-trained policy.
            SpecMismatchError: Something was made for another robot.
            ConfigError: Settings contradict each other, or the run was begun with others.
            StoreError: The run's store can't be opened, or another learner has it.
        """
        self.config, self.spec, self.folder = config, spec, RunFolder(run)
        policy = load_policy(pretrained, spec)
        self.perception, self.digest, self._parts = policy.perception, policy.digest, policy.parts
        calibration = calibration or policy.calibration
        file = RunCheckpoint(
            self.folder.checkpoint, spec, self.perception, config.agent, config.freeze_encoder, calibration, device
        )
        self._published = PublishedPolicies(self.folder, self.perception, calibration, config.method)
        self._put, self._writing = threading.Lock(), threading.Lock()
        self.fleet = Fleet(actors_left(self.folder.status))
        self._writes, self._notify = RefusedWrites(notify), notify
        self.given_up: Callable[[], bool] = lambda: False
        self._incoming: deque[tuple[Episode, ReplayEpisode | None]] = deque()
        with contextlib.ExitStack() as opened:
            self.store = opened.enter_context(TrajectoryStore(self.folder.episodes, spec))
            self.verdicts = VerdictBook(self.folder.episodes)
            state = file.begin_or_resume(pretrained, self.digest)
            keep_run_conditions(self.folder.path, config, state.agent.config, task, seed, self.digest)
            self._snapshot_steps = int(state.progress.get("snapshot_steps", 0))
            self._metrics = RunMetrics(self.folder.metrics, state.progress)
            opened.callback(self._metrics.close)
            self._kept = self._refilled(state.agent, device, seed, ranks)
            self._episodes = self._metrics.whole.episodes
            source = KeptData(offline, task, wordings or {}).mix(self._kept.replay, self.perception, config, seed + 1)
            self.trainer = OnlineTrainer(
                state, file, config.schedule, source,
                steps=self._metrics.whole.steps, log_every=config.log_every, log=self._log_losses, advice=_ADVICE,
                ranks=ranks,
            )  # fmt: skip
            self._saved_updates = self.trainer.updates
            if self.trainer.updates > 0:
                self._publish()
            opened.pop_all()

    # -- what actors call --------------------------------------------------------------------------------------

    def hello(self, spec: RobotSpec, policy_digest: str, actor: ActorIdentity | None = None) -> int:
        """See `FleetEndpoint.hello`."""
        actor = actor or ActorIdentity(start="")
        self.spec.require_same(spec, f"The policy of actor {actor.name!r}")
        require_same_policy(actor, policy_digest, self._parts, self.digest)
        self.fleet.enter(actor)
        return self._published.version

    def report(self, actor: str, report: ActorReport) -> None:
        """See `FleetEndpoint.report`."""
        self.fleet.hear(actor, report)

    def heard(self, actor: str) -> None:
        """See `FleetEndpoint.heard`."""
        self.fleet.heard(actor)

    def put_episode(self, episode: Episode) -> Receipt:
        """See `LearnerEndpoint.put_episode`. One that `was_unsure` is stored, but no more: its steps don't count.

        Raises:
            ConfigError: The instruction is unknown to the policy.
            InvalidEpisodeError, StoreError: The episode is malformed or can't be stored.
        """
        self.perception.instruction(episode.instruction)
        pace = self.trainer.pace
        with self._put:
            known = episode.id in self.store
            self.store.commit(episode)
            if not known:
                judged = self.verdicts.judged(episode)
                learned = not was_unsure(judged)
                self._incoming.append((episode, self._encoded(judged) if learned else None))
                self._episodes += 1
                pace.add_steps(len(episode) if learned else 0)
            return Receipt(pace.steps, self._episodes)

    def put_verdict(self, verdict: Verdict) -> None:
        """See `LearnerEndpoint.put_verdict`; the training thread relabels the replay before its next update.

        Raises:
            DiskError: The disk refuses.
        """
        before = self.verdicts.history(verdict.episode)
        self.verdicts.add(verdict)
        newest = self.verdicts.history(verdict.episode)[-1]
        if verdict not in before and newest != verdict:
            logger.warning(
                "what %s said (%s) about episode %s came after a newer word by %s (%s), which goes on counting: it "
                "waited in an outbox, or a clock is wrong. If it should count, say it again in `regrasp review`.",
                verdict.by, verdict.word, verdict.episode, newest.by, newest.word,
            )  # fmt: skip

    def weights(self, newer_than: int) -> Weights | None:
        """See `LearnerEndpoint.weights`."""
        return self._published.newer_than(newer_than)

    def may_act(self, timeout_s: float, actor: str = "") -> bool:
        """See `FleetEndpoint.may_act`."""
        return self.trainer.pace.wait_for_turn(actor, self.config.max_lag, timeout_s)

    def finished(self, actor: str = "") -> Receipt | None:
        """See `FleetEndpoint.finished`."""
        if not self._all_in:
            return None
        self.fleet.tell_finished(actor)
        return Receipt(self.trainer.pace.steps, self._episodes)

    # -- learning ----------------------------------------------------------------------------------------------
    @property
    def owed(self) -> int:
        """Updates that are due."""
        return self.trainer.pace.owed

    @property
    def complete(self) -> bool:
        """All steps are in and learned from."""
        return self._all_in and self.owed == 0

    @property
    def _all_in(self) -> bool:
        return self.trainer.pace.steps >= self.config.steps

    @property
    def status(self) -> LearnerStatus:
        """Where the run stands."""
        pace = self.trainer.pace
        success: dict[str, float] = {name: self._metrics.success(name) for name in DIRECTIONS}
        return LearnerStatus(
            pace.steps, self._episodes, pace.updates, pace.owed, self._published.version, success,
            self.config.steps, self.config.max_lag, self._actors(),
        )  # fmt: skip

    def write_status(self) -> None:
        """Leave `status` for the page and for the next start; a disk that refuses is left alone. Any thread may."""
        with self._writing, contextlib.suppress(OSError):
            self.status.write(self.folder.status)

    def seconds_an_update(self) -> float:
        """Of one update on this machine, measured on a copy of the agent."""
        schedule, ranks = self.config.schedule, self.trainer.ranks
        own = replace(schedule, batch=schedule.batch // ranks.count)
        return seconds_an_update(self.trainer.agent, self.perception.fields, own)

    def train(self, budget: int | None = None) -> int:
        """Do the updates that are due, at most `budget`; returns how many.

        A disk that refuses doesn't end the learning: what was written before stays, and it is tried again. Only what
        the run ends with is waited for.

        Args:
            budget: Most updates; None for all that are due.

        Raises:
            CheckpointError: The agent isn't finite any more; the checkpoint before stays.
        """
        done = 0
        while budget is None or done < budget:
            self._take_in()
            if not self.trainer.update():
                break
            self._hand_out()
            done += 1
        if done and self.complete:
            self._finish()
        return done

    def take_turn(self) -> None:
        """Everything that is due: for a learner in the actor's process (`ActorOptions.between_episodes`)."""
        self.train()

    def wait(self, timeout_s: float) -> None:
        """Wait until an update is due, but not longer than that."""
        self.trainer.ranks.alive()
        self.trainer.pace.wait_until_due(timeout_s)

    def save(self) -> None:
        """Write a checkpoint; call from the training thread.

        Raises:
            CheckpointError: The disk refuses, or the agent isn't finite any more; the checkpoint before stays.
        """
        self._require_finite()
        self.trainer.save({"wall_s": self._metrics.wall_s, "snapshot_steps": self._snapshot_steps})
        self._kept.save()
        self._metrics.flush()
        self._saved_updates = self.trainer.updates

    def close(self) -> None:
        """Save, and let another learner have the run."""
        try:
            self._take_in()
            self.save()
            tell(self.trainer.ranks, END)
            self.write_status()
        finally:
            self._metrics.close()
            self.store.close()

    # -- inside ------------------------------------------------------------------------------------------------
    def _refilled(self, agent: Agent, device: torch.device | str, seed: int, ranks: Ranks) -> RunReplay:
        """The replay of the episodes that are in the store, with room for those of the whole run."""
        config, fields = self.config, self.perception.fields
        held = sum(info.length + 1 for info in self.store.infos())
        most = frames_within(config.replay_bytes, fields, weights=weights_of(config))
        capacity = min(max(2 * config.steps, held) + _SPARE_FRAMES, most)
        begin_together(agent, ranks, capacity)
        replay = online_replay(config, agent.config, fields, capacity, device, seed, ranks)
        kept = RunReplay(self.folder.replay, replay, self.perception, Shaping(config.shaping))
        for info in kept.refill(self.store, self.verdicts):
            self._metrics.count(replace(info, outcome=self.verdicts.outcome(info)))
        return kept

    def _take_in(self) -> None:
        """Move what has arrived into the replay, and relabel what people have spoken about since."""
        arrived: set[str] = set()
        while self._incoming:
            episode, encoded = self._incoming.popleft()
            if encoded is not None:
                self._kept.add(episode, encoded)
            self._metrics.write_episode(episode, encoded, self._figures)
            arrived.add(episode.id)  # of which somebody may have spoken while it waited
        for id in sorted(arrived | self.verdicts.refresh()):
            self._relabel(id)

    def _relabel(self, id: str) -> None:
        """Let a person's word, or its taking back, count in the replay; one about an unknown episode waits for it."""
        if not self.verdicts.history(id) or id not in self.store:
            return
        info = self.store.info(id)
        outcome = self.verdicts.outcome(info)
        if self._kept.relabel(info, outcome):
            self._metrics.write_verdict(info, outcome)
        elif was_unsure(info) and outcome != "unknown" and not self._kept.knows(id):
            for episode in read_whole(self.store, [id]):  # none where it is damaged
                self._kept.add(episode, self._encoded(self.verdicts.judged(episode)))
                self._metrics.write_verdict(info, outcome, late=True)
                self.trainer.pace.add_steps(info.length)

    def _encoded(self, episode: Episode) -> ReplayEpisode:
        """An episode, with the outcome that counts, as replay takes it."""
        gamma, gains = self.trainer.agent.config.gamma, self.config.progress_weight > 0
        return for_replay(episode, self.perception, gamma, Shaping(self.config.shaping), gains=gains)

    def _hand_out(self) -> None:
        """Publish, keep and save the policy where it is time to, after an update."""
        config, updates, trained = self.config, self.trainer.updates, self.trainer.pace.trained_steps
        if updates % config.publish_every == 0:
            self._writes.attempt("the policy for actors", self._publish)
        if trained // config.snapshot_every > self._snapshot_steps // config.snapshot_every:
            self._writes.attempt(
                "the policy of the way", partial(self._snapshot, trained - trained % config.snapshot_every)
            )
        if updates % config.checkpoint_every == 0:
            self._writes.attempt("the checkpoint", self.save)

    def _finish(self) -> None:
        """The last policy: published, kept and checkpointed; waits for a disk that refuses."""
        if self._snapshot_steps < self.config.steps or self._saved_updates < self.trainer.updates:
            wait_for_room(self._write_last, self._notify, self.given_up, what="the last policy", work="the learner")

    def _write_last(self) -> None:
        if self._snapshot_steps < self.config.steps:
            self._publish()
            self._snapshot(self.config.steps)
        self.save()

    def _publish(self) -> None:
        self._require_finite()
        self._published.publish(self.trainer.agent)

    def _snapshot(self, steps: int) -> None:
        self._published.keep(self.trainer.agent, steps, self.trainer.updates, self._metrics.wall_s)
        self._snapshot_steps = steps

    def _require_finite(self) -> None:
        advice = (
            f"{self.folder.checkpoint} is as it was before. Look at the losses in {self.folder.metrics}. {_ADVICE} If "
            "it happens again at once, delete that checkpoint: learning then begins anew from the stored episodes."
        )
        require_finite(self.trainer.agent, self.trainer.updates, advice)

    def _log_losses(self, losses: dict[str, float]) -> None:
        self._metrics.write_losses(losses, self.trainer.pace, self._figures())

    def _actors(self) -> tuple[ActorView, ...]:
        """Every actor that the run has had: what it told last, and what the store has of it."""
        return with_counts(self.fleet.views(self._published.version), dict(self._metrics.actors))

    def _figures(self, name: str | None = None) -> dict[str, float]:
        """Of every actor, or of one."""
        actors = (one for one in self._actors() if name in (None, one.name))
        return {key: value for one in actors for key, value in one.figures().items()}
