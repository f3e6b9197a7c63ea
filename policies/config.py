"""Settings of the networks and of the algorithm: one `PhaseConfig` each for offline, warm-up and online."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trajectories.errors import ConfigError

Phase = Literal["offline", "warmup", "online"]
PHASES: tuple[Phase, ...] = ("offline", "warmup", "online")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the networks.

    Attributes:
        actor_hidden: Widths of the actor's hidden layers.
        critic_hidden: Widths of each critic's hidden layers.
        critics: Number of critics N in the ensemble.
        instruction_width: Width that the instruction embedding is projected to before it joins the state.
        log_std_min: Lower clip of the policy's log standard deviation (before the tanh).
        log_std_max: Upper clip of the same.
    """

    actor_hidden: tuple[int, ...] = (256, 256)
    critic_hidden: tuple[int, ...] = (128, 128)
    critics: int = 10
    instruction_width: int = 16
    log_std_min: float = -5.0
    log_std_max: float = 2.0

    def __post_init__(self) -> None:
        _require(len(self.actor_hidden) > 0 and len(self.critic_hidden) > 0, "hidden layers", "at least one layer")
        _require(self.critics >= 1, f"critics={self.critics}", "at least 1")
        _require(self.instruction_width >= 1, f"instruction_width={self.instruction_width}", "at least 1")
        _require(self.log_std_min < self.log_std_max, "log_std_min", "below log_std_max")


@dataclass(frozen=True)
class PhaseConfig:
    """Which terms the losses have while one phase lasts.

    Attributes:
        cql_alpha: Weight of the CQL regulariser; 0 leaves it out.
        cql_gap: With a number, `cql_alpha` is only the start of a learned Lagrange multiplier that keeps the
            regulariser at this value.
        calibrated: Bound the regulariser's policy actions from below by the Monte-Carlo return (Cal-QL).
        cql_actions: Actions drawn a state from each of: uniform, current policy, next state's policy.
        cql_critics: Critics (drawn with replacement) that get the regulariser in one update, as in WSRL's
            reference; None for all. The expected gradient is the same; the cost is not.
        importance_sampling: Subtract the log density of the drawn actions in the regulariser.
        max_target_backup: Bootstrap from the best of `cql_actions` next actions instead of a single one.
        entropy_backup: Add the entropy bonus of the next action to the target (times the discount).
        actor_q: What the actor ascends: the ensemble's mean or minimum.
        actor_critics: Critics (drawn with replacement) that one actor update looks at; None for all. With the
            mean, the expected gradient is the same and the cost is not.
        bc_weight: Weight of the behaviour-cloning term, relative to the reinforcement term; 0 leaves it out.
        bc_loss: "nll" of the demonstrated action, or "mse" of the policy's mode (with the spread fitted by nll).
        anchor_weight: Weight of KL(policy || anchor) on the batch's own states at the start of the phase; the anchor is
            the policy as the phase began.
        anchor_final: Weight after `anchor_steps`.
        anchor_steps: Actor updates over which the weight goes linearly from the one to the other.
        anchor_tau: Step of the anchor towards the policy after each actor update; 0 leaves it where it was, more
            makes it a trust region that moves along.
        critic_only: Leave actor and temperature as they are.
    """

    cql_alpha: float = 0.0
    cql_gap: float | None = None
    calibrated: bool = True
    cql_actions: int = 10
    cql_critics: int | None = 2
    importance_sampling: bool = True
    max_target_backup: bool = False
    entropy_backup: bool = False
    actor_q: Literal["mean", "min"] = "mean"
    actor_critics: int | None = None
    bc_weight: float = 0.0
    bc_loss: Literal["nll", "mse"] = "mse"
    anchor_weight: float = 0.0
    anchor_final: float = 0.0
    anchor_steps: int = 2000
    anchor_tau: float = 0.0
    critic_only: bool = False

    def __post_init__(self) -> None:
        _require(self.cql_alpha >= 0, f"cql_alpha={self.cql_alpha}", "0 or more")
        _require(self.cql_actions >= 1, f"cql_actions={self.cql_actions}", "at least 1")
        _require(self.cql_critics is None or self.cql_critics >= 1, "cql_critics", "None or at least 1")
        _require(self.cql_gap is None or self.cql_alpha > 0, "cql_gap", "None while cql_alpha is 0")
        _require(self.actor_q in ("mean", "min"), f"actor_q={self.actor_q!r}", "'mean' or 'min'")
        _require(self.actor_critics is None or self.actor_critics >= 1, "actor_critics", "None or at least 1")
        _require(self.bc_weight >= 0, f"bc_weight={self.bc_weight}", "0 or more")
        _require(self.bc_loss in ("nll", "mse"), f"bc_loss={self.bc_loss!r}", "'nll' or 'mse'")
        _require(self.anchor_weight >= 0, f"anchor_weight={self.anchor_weight}", "0 or more")
        _require(self.anchor_final >= 0, f"anchor_final={self.anchor_final}", "0 or more")
        _require(0 <= self.anchor_tau <= 1, f"anchor_tau={self.anchor_tau}", "in [0, 1]")
        _require(self.anchor_steps >= 1, f"anchor_steps={self.anchor_steps}", "at least 1")


def _offline() -> PhaseConfig:
    return PhaseConfig(cql_alpha=1.0, cql_actions=4, max_target_backup=False, bc_weight=1.0)


def _warmup() -> PhaseConfig:
    return PhaseConfig(critic_only=True)


def _online() -> PhaseConfig:
    return PhaseConfig(anchor_weight=1.0)


@dataclass(frozen=True)
class AgentConfig:
    """Settings of one agent; see `policies.agent.Agent`.

    Attributes:
        networks: Sizes.
        gamma: Discount of one control step. The replay and the Monte-Carlo returns must use the same.
        tau: Step of the target networks towards the critics after each critic update.
        actor_lr: Adam's step size for the actor.
        critic_lr: Adam's step size for the critics.
        temperature_lr: Adam's step size for the temperature (and the Lagrange multiplier).
        initial_temperature: Entropy weight at the start.
        target_entropy: Nats; None for minus the number of action dimensions.
        target_critics: Target critics whose minimum bootstraps, drawn with replacement (as in WSRL); None for
            the minimum of all.
        target_range: Clamp of the TD targets, e.g. `value_range(gamma)` for rewards in {-1, 0}; None for
        none. action_limit: Actions are clipped to +- this before their log-probability is taken.
        offline: Terms of the losses in pre-training.
        warmup: The same while the first online data comes in.
        online: The same in fine-tuning.
        compile: Run forward passes through `torch.compile` (pays on GPUs; the first updates are slow).
    """

    networks: NetworkConfig = field(default_factory=NetworkConfig)
    gamma: float = 0.95
    tau: float = 0.005
    actor_lr: float = 3e-4
    critic_lr: float = 3e-4
    temperature_lr: float = 3e-4
    initial_temperature: float = 0.05
    target_entropy: float | None = None
    target_critics: int | None = 2
    target_range: tuple[float, float] | None = (-20.0, 0.0)
    action_limit: float = 0.99
    offline: PhaseConfig = field(default_factory=_offline)
    warmup: PhaseConfig = field(default_factory=_warmup)
    online: PhaseConfig = field(default_factory=_online)
    compile: bool = False

    def __post_init__(self) -> None:
        _require(0 < self.gamma < 1, f"gamma={self.gamma}", "between 0 and 1")
        _require(0 < self.tau <= 1, f"tau={self.tau}", "in (0, 1]")
        _require(self.initial_temperature > 0, f"initial_temperature={self.initial_temperature}", "positive")
        _require(0 < self.action_limit < 1, f"action_limit={self.action_limit}", "between 0 and 1")
        _require(self.target_critics is None or self.target_critics >= 1, "target_critics", "None or at least 1")
        for name in ("actor_lr", "critic_lr", "temperature_lr"):
            _require(getattr(self, name) > 0, f"{name}={getattr(self, name)}", "positive")
        if self.target_range is not None:
            low, high = self.target_range
            _require(low < high, f"target_range={self.target_range}", "(low, high) with low < high")

    def phase(self, name: Phase) -> PhaseConfig:
        """Settings of the phase `name`."""
        if name not in PHASES:
            raise ConfigError(f"unknown phase {name!r}; expected one of {', '.join(PHASES)}")
        return typing.cast(PhaseConfig, getattr(self, name))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return typing.cast(dict[str, Any], _plain(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> AgentConfig:
        """Inverse of `to_dict`; missing keys keep their defaults.

        Raises:
            ConfigError: For an unknown key, with the known ones.
        """
        return typing.cast(AgentConfig, _build(cls, raw, "agent"))


def value_range(gamma: float, lowest_reward: float = -1.0) -> tuple[float, float]:
    """(low, high) of the values of rewards in [lowest_reward, 0]: (lowest_reward / (1 - gamma), 0)."""
    _require(0 < gamma < 1 and math.isfinite(lowest_reward), f"gamma={gamma}", "between 0 and 1")
    return lowest_reward / (1 - gamma), 0.0


def _require(condition: bool, what: str, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{what} is out of range; expected {expected}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def _build(cls: type, raw: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `cls` from nested plain values."""
    hints = typing.get_type_hints(cls)
    unknown = set(raw) - set(hints)
    if unknown:
        raise ConfigError(f"unknown {where} settings {sorted(unknown)}; known are {sorted(hints)}")
    return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in raw.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        return None
    kind = next(option for option in options if option is not type(None))
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type, kind), value, where)
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return float(value) if kind is float else value
