"""Settings of fine-tuning."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, get_args

from policies.agent.config import AgentConfig
from policies.learner.schedule import Schedule
from policies.replay.choices import Corrections, Keep, Kept, require_keep, require_place
from policies.replay.shaping import Shaping
from trajectories.errors import ConfigError

_NO_CONDITIONS = frozenset(
    {
        "steps", "replay_device", "max_lag", "publish_every", "checkpoint_every", "snapshot_every", "log_every",
        "agent", "accept_changes",
    }
)  # fmt: skip
"""Settings that don't decide how a run learns."""


@dataclass(frozen=True)
class LearnerConfig:
    """How the pre-trained agent goes on.

    Attributes:
        method: Its name, for what is written about the run; nothing depends on it.
        retention: Share of offline data in every batch; 0 keeps nothing of it (WSRL, arXiv 2412.07762).
        offline: Which offline data: the target task's, its successes alone, or all, the prior tasks' included.
        steps: Environment steps of the whole run.
        warmup_steps: Environment steps before the first update.
        critic_only: First updates that leave the policy as it is while the critics get used to online data (the
            agent's phase "warmup").
        utd: Critic updates for every environment step; the policy gets one.
        batch: Transitions of one critic update.
        shaping: What the progress that the judge sees is worth, from nothing to done, in rewards of a step; it is added
            as a potential, which leaves the best policies the best (`policies.replay.shaping`). 0: success alone, as
            published. Offline data that a method keeps need their progress noted, too.
        progress_weight: How much more often an online step is drawn that gained all progress at once, as the judge saw
            it, than one that gained none: 1 + progress_weight times. 0: all alike, as published.
        person_weight: How often a step of a person who took over is drawn, beside a step of the policy.
        corrections: Where a person's steps are drawn: "online", in the online part of batches alone; "both", beside the
            demonstrations as well (`MixedReplay`), where `person_weight` doesn't count.
        replay_bytes: Memory of the online replay at most; the oldest episodes make room.
        replay_device: Where transitions are kept, see `ReplaySettings.keep`.
        freeze_encoder: Leave a pre-trained image encoder as it is: replay keeps features, and an update costs what one
            on states does. False: replay keeps images (a frozen tower's maps), and the critics go on training it. A run
            keeps to what it began with. Keypoints are always frozen.
        displace: Share of the episodes that set down elsewhere what they hold (`robot.rollout.displacing`): what the
            actors of this run do, and so what the learner learns from.
        max_lag: Updates that the learner may be behind before actors have to wait: environment steps that the policy
            has not learned from yet. At least the longest episode, or actor and learner take turns instead of working
            side by side.
        publish_every: Updates between two publications of the policy.
        checkpoint_every: Updates between two checkpoints of the learner.
        snapshot_every: Environment steps between policy folders that are kept.
        log_every: Updates between two entries of losses in the metrics.
        agent: Losses and optimisers to go on with; None for those of pre-training.
        accept_changes: Whether a run may go on with other settings than those that it was begun with; both are kept.
    """

    method: str = "regrasp"
    retention: float = 0.0
    offline: Kept = "target"
    steps: int = 3000
    warmup_steps: int = 500
    critic_only: int = 0
    utd: int = 4
    batch: int = 256
    shaping: float = 0.0
    progress_weight: float = 0.0
    person_weight: float = 1.0
    corrections: Corrections = "online"
    replay_bytes: int = 2_000_000_000
    replay_device: Keep = "auto"
    freeze_encoder: bool = True
    displace: float = 0.0
    max_lag: int = 80
    publish_every: int = 40
    checkpoint_every: int = 400
    snapshot_every: int = 1000
    log_every: int = 40
    agent: AgentConfig | None = None
    accept_changes: bool = False

    def __post_init__(self) -> None:
        require_keep(self.replay_device)
        if not 0.0 <= self.retention < 1.0:
            raise ConfigError(
                f"retention={self.retention} is no share of offline data in a batch; expected 0 (keep nothing) or more "
                "and less than 1."
            )
        if self.offline not in get_args(Kept):
            raise ConfigError(f"offline={self.offline!r} is unknown; expected one of {', '.join(get_args(Kept))}.")
        require_place(self.corrections, self.retention)
        Shaping(self.shaping)
        if not 0.0 <= self.progress_weight < math.inf:
            raise ConfigError(f"progress_weight={self.progress_weight} is out of range; expected 0 (none) or more.")
        for name in (
            "steps", "utd", "batch", "publish_every", "checkpoint_every", "snapshot_every", "log_every", "replay_bytes",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1.")
        if not 0 <= self.warmup_steps < self.steps or self.critic_only < 0:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps} must lie in 0 ... steps - 1 = {self.steps - 1} and "
                f"critic_only={self.critic_only} must not be negative: else nothing is ever learned."
            )
        if not 0.0 <= self.displace < 1.0:
            raise ConfigError(
                f"displace={self.displace} is no share of the episodes; expected 0 (none) to less than 1."
            )
        if self.max_lag < 0:
            raise ConfigError(f"max_lag={self.max_lag} must not be negative.")

    @property
    def schedule(self) -> Schedule:
        """What an environment step pays for."""
        return Schedule(self.batch, self.utd, self.warmup_steps, self.critic_only)

    def conditions(self, agent: AgentConfig) -> dict[str, Any]:
        """Plain JSON of what decides how the run learns, however long it is and however often something is written.

        Args:
            agent: The losses and optimisers that it goes on with, where `self.agent` is None those of pre-training.
        """
        parts = {name: value for name, value in asdict(self).items() if name not in _NO_CONDITIONS}
        losses = agent.to_dict()
        del losses["compile"]
        if self.shaping and losses.get("target_range") is not None:  # lower by the shaping, a condition by itself
            low, high = losses["target_range"]
            losses["target_range"] = [low + self.shaping, high]
        parts["task.displace"] = parts.pop("displace")  # by its key, which isn't of this group
        return parts | {"agent": losses | {"n_step": agent.n_step}}
