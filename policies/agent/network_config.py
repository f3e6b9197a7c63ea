"""Which networks an agent has, and their sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from policies.common.config_dict import plain, require

PolicyKind = Literal["tanh_gaussian", "gaussian", "deterministic"]
"""See `policies.agent.distribution`."""
StdBound = Literal["clip", "sigmoid"]
"""See `NetworkConfig.std_bound`."""


@dataclass(frozen=True)
class HistogramConfig:
    """The bins of critics that classify, arXiv 2403.03950.

    Attributes:
        bins: Number of bins.
        low: Lower end of the values that the bins cover.
        high: Upper end of those; they should reach some bins beyond the values, see `losses.hl_gauss.project`.
        sigma: Standard deviation of the target's Gaussian in widths of a bin; 0.75 in the paper.
    """

    bins: int
    low: float
    high: float
    sigma: float = 0.75

    def __post_init__(self) -> None:
        require(self.bins >= 2, f"bins={self.bins}", "at least 2")
        require(self.low < self.high, f"support ({self.low}, {self.high})", "low < high")
        require(self.sigma > 0, f"sigma={self.sigma}", "positive")

    @property
    def std(self) -> float:
        """Standard deviation of the target's Gaussian, in units of the value."""
        return self.sigma * (self.high - self.low) / self.bins


@dataclass(frozen=True)
class NetworkConfig:
    """The networks of an agent: what a checkpoint must agree on.

    Attributes:
        actor_hidden: Widths of the actor's hidden layers.
        critic_hidden: Widths of each critic's hidden layers.
        critics: Number of critics N in the ensemble.
        instruction_width: Width that the instruction embedding is projected to before it joins the state.
        log_std_min: Lower end of the policy's log standard deviation (before the tanh, where there is one).
        log_std_max: Upper end of the policy's log standard deviation.
        actor_norm: LayerNorm before each of the actor's activations.
        critic_norm: LayerNorm before each activation of the critics and of the value network.
        policy: "tanh_gaussian" (SAC), "gaussian" (unsquashed, with a tanh on the mean: IQL, AWAC) or "deterministic"
            (TD3).
        std: "state": a Gaussian's standard deviation depends on the state; "shared": one for all states.
        std_bound: How the log of that deviation is kept between its two ends. "clip" starts at 0 (or, where 0 isn't
            inside, half-way between the ends) and learns no more once it is beyond one; "sigmoid",
            min + sigmoid(raw) (max - min), starts half-way and always learns.
        exploration_noise: Standard deviation of the noise that a deterministic policy acts with.
        target_policy: Keep a slow copy of the actor, which the next actions in the TD targets come from (TD3).
        value_hidden: Widths of the hidden layers of a state-value network V(s) (IQL); None for no such network.
        critic_bins: Histogram of critics that classify (HL-Gauss); None for critics that regress.
    """

    actor_hidden: tuple[int, ...] = (256, 256)
    critic_hidden: tuple[int, ...] = (128, 128)
    critics: int = 10
    instruction_width: int = 16
    log_std_min: float = -5.0
    log_std_max: float = 2.0
    actor_norm: bool = True
    critic_norm: bool = True
    policy: PolicyKind = "tanh_gaussian"
    std: Literal["state", "shared"] = "state"
    std_bound: StdBound = "clip"
    exploration_noise: float = 0.1
    target_policy: bool = False
    value_hidden: tuple[int, ...] | None = None
    critic_bins: HistogramConfig | None = None

    def __post_init__(self) -> None:
        for name in ("actor_hidden", "critic_hidden", "value_hidden"):
            widths = getattr(self, name)
            whole = widths is None or (len(widths) > 0 and min(widths) >= 1)
            require(whole, f"{name}={widths}", "at least one layer of a unit or more")
        require(self.critics >= 1, f"critics={self.critics}", "at least 1")
        require(self.instruction_width >= 1, f"instruction_width={self.instruction_width}", "at least 1")
        require(self.log_std_min < self.log_std_max, f"log_std_min={self.log_std_min}", f"below {self.log_std_max}")
        kinds = get_args(PolicyKind)
        require(self.policy in kinds, f"policy={self.policy!r}", f"one of {', '.join(kinds)}")
        require(self.std in ("state", "shared"), f"std={self.std!r}", "'state' or 'shared'")
        require(self.std_bound in get_args(StdBound), f"std_bound={self.std_bound!r}", "'clip' or 'sigmoid'")
        require(self.exploration_noise > 0, f"exploration_noise={self.exploration_noise}", "positive")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types.

        What policies of earlier versions don't know is left out at its default, so that their digests stay alike.
        """
        whole: dict[str, Any] = plain(asdict(self))
        if self.std_bound == "clip":
            del whole["std_bound"]
        return whole
