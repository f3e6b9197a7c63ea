"""Settings of training on a Gymnasium environment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from policies.agent.config import AgentConfig
from policies.gym.environment import EnvSettings
from policies.learner.schedule import Schedule
from policies.perception.encoders.config import EncoderConfig
from policies.replay.choices import Keep, require_keep
from trajectories.errors import ConfigError
from trajectories.flat.returns import Tail

Mode = Literal["stochastic", "deterministic"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class DataSettings:
    """What is done to observations, actions and rewards before anything is learned from them, offline and online alike.

    Attributes:
        reward_scale: Rewards are multiplied by this,
        reward_bias: then this is added (AntMaze in Cal-QL and WSRL: 10 and -5).
        tail: What follows where an episode is cut, for Monte-Carlo returns: see `returns_to_go`.
        action_limit: Actions are clipped to +- this, so that a tanh can reach them.
        normalise: Shift and scale observations to mean 0 and standard deviation 1 of the data set, and clip them to
            +- 10 of these.
    """

    reward_scale: float = 1.0
    reward_bias: float = 0.0
    tail: Tail = "repeat"
    action_limit: float = 0.99999
    normalise: bool = False

    def __post_init__(self) -> None:
        if not self.reward_scale > 0:
            raise ConfigError(f"reward_scale={self.reward_scale} is out of range; expected a positive number.")
        if not 0 < self.action_limit <= 1:
            raise ConfigError(f"action_limit={self.action_limit} is out of range; expected a number in (0, 1].")
        if self.tail not in get_args(Tail):
            raise ConfigError(f"tail={self.tail!r} is unknown; expected one of {', '.join(get_args(Tail))}.")


@dataclass(frozen=True)
class EvaluationSettings:
    """How policies are measured; training never notices.

    Attributes:
        episodes: Of each mode.
        modes: How actions are taken: sampled, or the most likely one.
        seed: Of the starts and the sampled actions; every evaluation meets the same starts.
    """

    episodes: int = 20
    modes: tuple[Mode, ...] = MODES
    seed: int = 70_000

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"{self.episodes} episodes of evaluation measure nothing; expected at least 1.")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise ConfigError(f"modes={self.modes} of evaluation; expected some of {', '.join(MODES)}.")


@dataclass(frozen=True)
class OfflineSettings:
    """Training from a data set.

    Attributes:
        steps: Updates in all.
        batch: Transitions an update.
        evaluate_every: Updates between two evaluations; there is one at the end in any case.
        checkpoint_every: Updates between two checkpoints; there is one at the end in any case.
        log_every: Updates between two entries of losses in the metrics.
        replay_device: Where transitions are kept, see `ReplaySettings.keep`.
    """

    steps: int
    batch: int = 256
    evaluate_every: int = 10_000
    checkpoint_every: int = 5_000
    log_every: int = 500
    replay_device: Keep = "auto"

    def __post_init__(self) -> None:
        _require_positive(self, ())


@dataclass(frozen=True)
class OnlineSettings:
    """Training by acting.

    Attributes:
        steps: Environment steps in all; the episode under way is then finished.
        batch: Transitions of one critic update.
        utd: Critic updates for every environment step; the policy gets one.
        offline_ratio: Share of every batch drawn from the data set: 0 for WSRL, 0.5 for RLPD and Cal-QL.
        warmup_steps: Environment steps before the first update, which also waits for the first episode to be over.
            Without pre-training their actions are drawn uniformly.
        critic_only: First updates that are done in the phase "warmup" instead of "online".
        capacity: Frames that the online replay holds.
        evaluate_every: Environment steps between two evaluations.
        checkpoint_every: Environment steps between two checkpoints, which wait for the end of an episode.
        log_every: Updates between two entries of losses in the metrics.
        replay_device: Where transitions are kept, see `ReplaySettings.keep`.
    """

    steps: int
    batch: int = 256
    utd: int = 4
    offline_ratio: float = 0.0
    warmup_steps: int = 5_000
    critic_only: int = 0
    capacity: int = 1_000_000
    evaluate_every: int = 10_000
    checkpoint_every: int = 5_000
    log_every: int = 500
    replay_device: Keep = "auto"

    def __post_init__(self) -> None:
        _require_positive(self, ("warmup_steps", "critic_only", "offline_ratio"))
        if not 0 <= self.offline_ratio <= 1:
            raise ConfigError(f"offline_ratio={self.offline_ratio} is out of range; expected a share in [0, 1].")

    @property
    def schedule(self) -> Schedule:
        """What an environment step pays for."""
        return Schedule(self.batch, self.utd, self.warmup_steps, self.critic_only)


def _require_positive(settings: OfflineSettings | OnlineSettings, may_be_zero: tuple[str, ...]) -> None:
    require_keep(settings.replay_device)
    for entry in fields(settings):
        if entry.name == "replay_device":
            continue
        value, least = getattr(settings, entry.name), 0 if entry.name in may_be_zero else 1
        if value < least:
            raise ConfigError(f"{entry.name}={value} is out of range; expected at least {least}.")


@dataclass(frozen=True)
class Job:
    """What is trained where: what checkpoints, data and later stages must agree on.

    Attributes:
        env: The environment.
        agent: Networks and losses.
        data: Treatment of observations, actions and rewards.
        evaluation: How policies are measured.
        seed: Of everything random.
        encoder: Of images; None for environments without.
    """

    env: EnvSettings
    agent: AgentConfig
    data: DataSettings = field(default_factory=DataSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    seed: int = 0
    encoder: EncoderConfig | None = None

    def identity(self, **more: Any) -> dict[str, Any]:
        """Plain JSON of all that decides the numbers, with `more` besides."""
        parts = {
            "env": self.env.to_dict(),
            "agent": self.agent.to_dict(),
            "data": asdict(self.data),
            "evaluation": asdict(self.evaluation),
            "seed": self.seed,
        }
        if self.encoder is not None:
            parts["encoder"] = self.encoder.to_dict()
        return json.loads(json.dumps(parts | more))
