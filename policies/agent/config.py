"""Settings of an agent: its networks, its optimisers, and one `PhaseConfig` each for offline, warm-up and online.

`policies.agent.methods` has these for every published method.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.agent.network_config import HistogramConfig, NetworkConfig
from policies.agent.phase_config import PHASES, Phase, PhaseConfig
from policies.common.config_dict import plain, require
from trajectories.errors import ConfigError
from trajectories.settings import build

__all__ = ["PHASES", "AgentConfig", "HistogramConfig", "NetworkConfig", "Phase", "PhaseConfig", "value_range"]


def _offline() -> PhaseConfig:
    return PhaseConfig(cql_alpha=1.0, cql_actions=4, max_target_backup=False, bc_weight=1.0)


def _warmup() -> PhaseConfig:
    return PhaseConfig(critic_only=True)


def _online() -> PhaseConfig:
    return PhaseConfig(anchor_weight=1.0)


@dataclass(frozen=True)
class AgentConfig:
    """Settings of one agent; see `policies.agent.agent.Agent`.

    Attributes:
        networks: Which there are, and their sizes.
        gamma: Discount of one control step. The replay and the Monte-Carlo returns must use the same.
        n_step: Steps of rewards that a TD target sums before it bootstraps; replays are filled accordingly.
        tau: Step of the target networks towards the critics after each critic update.
        actor_lr: Adam's step size for the actor.
        actor_average: Decay of the running average of the actor that acts (`policies.agent.averaging`); 0 for none.
        critic_lr: Adam's step size for the critics and the value network.
        temperature_lr: Adam's step size for the temperature.
        lagrange_lr: Adam's step size for the Lagrange multiplier of `cql_gap`; None for the temperature's.
        initial_temperature: Entropy weight at the start.
        target_entropy: Entropy that the policy is held at, nats; None for minus the number of action dimensions.
        target_critics: Target critics whose minimum bootstraps, drawn anew for each update; None for all of them.
        distinct_targets: Draw the target critics without replacement (REDQ, RLPD); else with (WSRL).
        target_range: Clamp of the TD targets, e.g. `value_range(gamma)` for rewards in {-1, 0}; None for none.
        action_limit: Actions are clipped to +- this before their log-probability is taken.
        offline: Terms of the losses in pre-training.
        warmup: The same while the first online data comes in.
        online: The same in fine-tuning.
        compile: Run the losses through `torch.compile`, on a GPU as CUDA graphs: a quarter faster on two cores,
            after half a minute of compiling for each phase.
        bf16: Matrix products of the losses in bfloat16; for GPUs, whose memory traffic it halves.
    """

    networks: NetworkConfig = field(default_factory=NetworkConfig)
    gamma: float = 0.95
    n_step: int = 1
    tau: float = 0.005
    actor_lr: float = 3e-4
    actor_average: float = 0.0
    critic_lr: float = 3e-4
    temperature_lr: float = 3e-4
    lagrange_lr: float | None = None
    initial_temperature: float = 0.05
    target_entropy: float | None = None
    target_critics: int | None = 2
    distinct_targets: bool = False
    target_range: tuple[float, float] | None = (-20.0, 0.0)
    action_limit: float = 0.99
    offline: PhaseConfig = field(default_factory=_offline)
    warmup: PhaseConfig = field(default_factory=_warmup)
    online: PhaseConfig = field(default_factory=_online)
    compile: bool = False
    bf16: bool = False

    def __post_init__(self) -> None:
        require(0 < self.gamma < 1, f"gamma={self.gamma}", "between 0 and 1")
        require(self.n_step >= 1, f"n_step={self.n_step}", "at least 1")
        require(0 < self.tau <= 1, f"tau={self.tau}", "in (0, 1]")
        require(self.initial_temperature > 0, f"initial_temperature={self.initial_temperature}", "positive")
        require(0 < self.action_limit < 1, f"action_limit={self.action_limit}", "between 0 and 1")
        require(self.target_critics is None or self.target_critics >= 1, "target_critics", "None or at least 1")
        enough = not self.distinct_targets or (self.target_critics or 0) <= self.networks.critics
        require(enough, f"target_critics={self.target_critics}", f"at most critics={self.networks.critics}")
        for name in ("actor_lr", "critic_lr", "temperature_lr"):
            require(getattr(self, name) > 0, f"{name}={getattr(self, name)}", "positive")
        require(0 <= self.actor_average < 1, f"actor_average={self.actor_average}", "0, or less than 1")
        require(self.lagrange_lr is None or self.lagrange_lr > 0, f"lagrange_lr={self.lagrange_lr}", "None or positive")
        if self.target_range is not None:
            low, high = self.target_range
            require(low < high, f"target_range={self.target_range}", "(low, high) with low < high")
            _check_support(self.networks.critic_bins, low, high)
        require(
            not self.offline.anchored, "offline.anchor_weight", "0: agents begin offline, there is no policy before"
        )
        require(
            self.offline.start_spread == 1, "offline.start_spread", "1: agents begin offline, there is no policy before"
        )
        for name in PHASES:
            _check_networks(self.networks, self.phase(name), name)

    def phase(self, name: Phase) -> PhaseConfig:
        """Settings of the phase `name`."""
        if name not in PHASES:
            raise ConfigError(f"unknown phase {name!r}; expected one of {', '.join(PHASES)}")
        return typing.cast(PhaseConfig, getattr(self, name))

    def with_hidden(self, hidden: tuple[int, ...]) -> AgentConfig:
        """The same with other hidden layers in every network that it has."""
        networks = self.networks
        value = None if networks.value_hidden is None else hidden
        networks = dataclasses.replace(networks, actor_hidden=hidden, critic_hidden=hidden, value_hidden=value)
        return dataclasses.replace(self, networks=networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types.

        What checkpoints of earlier versions don't know is left out at its default, so that theirs stay alike.
        """
        whole = typing.cast(dict[str, Any], plain(dataclasses.asdict(self)))
        whole["networks"] = self.networks.to_dict()
        if self.n_step == 1:
            del whole["n_step"]
        if self.actor_average == 0:
            del whole["actor_average"]
        for name in PHASES:
            if self.phase(name).start_spread == 1:
                del whole[name]["start_spread"]
        return whole

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> AgentConfig:
        """Inverse of `to_dict`; missing keys keep their defaults.

        Raises:
            ConfigError: For an unknown key, with the known ones.
        """
        return typing.cast(AgentConfig, build(cls, raw, "agent"))


def value_range(gamma: float, lowest_reward: float = -1.0) -> tuple[float, float]:
    """(low, high) of the values of rewards in [lowest_reward, 0]: (lowest_reward / (1 - gamma), 0), to 9 decimals."""
    require(0 < gamma < 1 and math.isfinite(lowest_reward), f"gamma={gamma}", "between 0 and 1")
    return round(lowest_reward / (1 - gamma), 9), 0.0


def _check_support(bins: HistogramConfig | None, low: float, high: float) -> None:
    """Refuse critics that can't tell apart all targets."""
    require(
        bins is None or (bins.low <= low and high <= bins.high),
        f"networks.critic_bins from {bins and bins.low} to {bins and bins.high}",
        f"a support that covers target_range=({low}, {high}): targets beyond it would all count as its end",
    )


def _check_networks(networks: NetworkConfig, phase: PhaseConfig, name: str) -> None:
    """Refuse terms that the networks can't serve."""
    require(
        phase.expectile is None or networks.value_hidden is not None,
        f"{name}.expectile={phase.expectile}",
        "None without networks.value_hidden, which makes the value network",
    )
    unlike = networks.policy == "deterministic" or networks.std_bound != "clip"
    require(
        phase.start_spread == 1 or not unlike,
        f"agent.{name}.start_spread={phase.start_spread}",
        "1 for a policy that is deterministic, or whose spread has another bound than 'clip'",
    )
    if networks.policy != "deterministic":
        require(phase.target_noise == 0, f"{name}.target_noise={phase.target_noise}", "0 for a policy that is random")
        return
    needs_density = phase.cql_alpha > 0 or phase.entropy_backup or phase.max_target_backup
    require(
        not needs_density and (phase.critic_only or phase.extraction in ("ddpg", "bc")) and phase.bc_loss == "mse",
        f"the phase {name} with a deterministic policy",
        "extraction 'ddpg' or 'bc', bc_loss 'mse', and no cql_alpha, entropy_backup or max_target_backup",
    )
