"""Which terms the losses have while one phase lasts, in five families: targets, regulariser, actor, cloning, anchor.

The families are parts of one flat `PhaseConfig`: its names are what people type (`+agent.online.actor_q=mean`) and what
policy folders and checkpoints hold. Terms that contradict each other are refused, each family by itself, then together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from policies.common.config_dict import require

Phase = Literal["offline", "warmup", "online"]
PHASES: tuple[Phase, ...] = ("offline", "warmup", "online")
Extraction = Literal["soft", "ddpg", "awr", "bc"]
Aggregate = Literal["mean", "min", "first"]
"""See `policies.agent.losses.actor.aggregate`."""


@dataclass(frozen=True)
class TargetTerms:
    """What the critics' TD targets bootstrap from.

    Attributes:
        expectile: With a number, implicit Q-learning: the value network learns this expectile of the target critics'
            minimum, and the TD targets bootstrap from it instead of from actions of the policy.
        max_target_backup: Bootstrap from the best of `cql_actions` next actions instead of a single one.
        entropy_backup: Add the entropy bonus of the next action to the target (times the discount).
        target_noise: Standard deviation of the noise on the next action of a deterministic policy (TD3).
        target_noise_clip: The noise on the next action is clipped to +- this.
    """

    expectile: float | None = None
    max_target_backup: bool = False
    entropy_backup: bool = False
    target_noise: float = 0.0
    target_noise_clip: float = 0.5

    def _check_targets(self) -> None:
        require(self.expectile is None or 0 < self.expectile < 1, f"expectile={self.expectile}", "None or in (0, 1)")
        require(self.target_noise >= 0, f"target_noise={self.target_noise}", "0 or more")
        require(self.target_noise_clip > 0, f"target_noise_clip={self.target_noise_clip}", "positive")


@dataclass(frozen=True)
class ConservativeTerms:
    """The regulariser of CQL and Cal-QL.

    Attributes:
        cql_alpha: Weight of the regulariser; 0 leaves it out.
        cql_gap: With a number, `cql_alpha` is only the start of a learned Lagrange multiplier that keeps the
            regulariser at this value.
        calibrated: Bound the values of its policy actions from below by the Monte-Carlo return (Cal-QL).
        cql_actions: Actions drawn a state from each of: uniform, current policy, next state's policy.
        cql_critics: Critics (drawn with replacement) that get the regulariser in one update, as in WSRL's
            reference; None for all. The expected gradient is the same; the cost is not.
        importance_sampling: Subtract the log density of the drawn actions.
    """

    cql_alpha: float = 0.0
    cql_gap: float | None = None
    calibrated: bool = True
    cql_actions: int = 10
    cql_critics: int | None = 2
    importance_sampling: bool = True

    def _check_regulariser(self) -> None:
        require(self.cql_alpha >= 0, f"cql_alpha={self.cql_alpha}", "0 or more")
        require(self.cql_actions >= 1, f"cql_actions={self.cql_actions}", "at least 1")
        require(self.cql_critics is None or self.cql_critics >= 1, "cql_critics", "None or at least 1")
        require(self.cql_gap is None or self.cql_alpha > 0, "cql_gap", "None while cql_alpha is 0")


@dataclass(frozen=True)
class ActorTerms:
    """How the policy improves.

    Attributes:
        extraction: "soft": ascend value plus entropy along a sampled action (SAC). "ddpg": ascend the value along the
            most likely action (TD3, DDPG+BC). "awr": clone the data's actions, weighted by exp(advantage) (IQL, AWAC).
            "bc": clone them, and train no critic.
        actor_q: Which value the actor looks at: the ensemble's mean or minimum, or the first critic's (TD3).
        actor_critics: Critics (drawn with replacement) that one actor update looks at; None for all. With the
            mean, the expected gradient is the same and the cost is not.
        q_scale: With a number a, "soft" and "ddpg" multiply their loss by a / mean |Q| of the batch (TD3+BC's lambda):
            what stands beside it (cloning, the anchor) counts alike whatever returns are.
        awr_beta: Inverse temperature of "awr" (IQL's beta, AWAC's 1 / lambda).
        awr_clip: Largest weight of "awr".
        start_spread: As the phase begins, the policy's standard deviations are multiplied by this: below 1 it goes on
            with less noise than the one before, which its anchor has, too. One that would fall out of the network's
            bounds stays at their end, and is learned no more. A session that is in the phase already stays as it is.
    """

    extraction: Extraction = "soft"
    actor_q: Aggregate = "mean"
    actor_critics: int | None = None
    q_scale: float | None = None
    awr_beta: float = 3.0
    awr_clip: float = 100.0
    start_spread: float = 1.0

    def _check_actor(self) -> None:
        ways = get_args(Extraction)
        require(self.extraction in ways, f"extraction={self.extraction!r}", f"one of {', '.join(ways)}")
        require(self.actor_q in get_args(Aggregate), f"actor_q={self.actor_q!r}", "'mean', 'min' or 'first'")
        require(self.actor_critics is None or self.actor_critics >= 1, "actor_critics", "None or at least 1")
        require(self.actor_critics is None or self.actor_q != "first", "actor_critics", "None with actor_q='first'")
        require(self.q_scale is None or self.q_scale > 0, f"q_scale={self.q_scale}", "None or positive")
        ascends = self.extraction in ("soft", "ddpg")
        require(self.q_scale is None or ascends, "q_scale", "None without extraction='soft' or 'ddpg'")
        require(self.awr_beta > 0, f"awr_beta={self.awr_beta}", "positive")
        require(self.awr_clip > 0, f"awr_clip={self.awr_clip}", "positive")
        require(0.01 <= self.start_spread <= 100, f"start_spread={self.start_spread}", "0.01 to 100; 1 changes nothing")


@dataclass(frozen=True)
class CloningTerms:
    """Behaviour cloning beside, or in place of, the improvement.

    Attributes:
        bc_weight: Weight of the behaviour-cloning term; 0 leaves it out.
        bc_balance: The weight of behaviour cloning is relative to the reinforcement term's size (RoboFuME); else it is
            absolute.
        bc_loss: "nll" of the demonstrated action, or "mse" of the policy's mode (with the spread fitted by nll).
        clone_all: Clone every transition, not only those that `Batch.imitate` marks.
    """

    bc_weight: float = 0.0
    bc_balance: bool = True
    bc_loss: Literal["nll", "mse"] = "mse"
    clone_all: bool = False

    def _check_cloning(self) -> None:
        require(self.bc_weight >= 0, f"bc_weight={self.bc_weight}", "0 or more")
        require(self.bc_loss in ("nll", "mse"), f"bc_loss={self.bc_loss!r}", "'nll' or 'mse'")


@dataclass(frozen=True)
class AnchorTerms:
    """What keeps the policy near the one that the phase began with: KL(policy || anchor) on the batch's own states.

    Attributes:
        anchor_weight: Weight of that KL at the start of the phase.
        anchor_final: Weight of that KL after `anchor_steps`.
        anchor_steps: Actor updates over which the weight goes linearly from the one to the other.
        anchor_tau: Step of the anchor towards the policy after each actor update; 0 leaves it where it was, more
            makes it a trust region that moves along.
    """

    anchor_weight: float = 0.0
    anchor_final: float = 0.0
    anchor_steps: int = 2000
    anchor_tau: float = 0.0

    @property
    def anchored(self) -> bool:
        """Whether the policy is kept near the one that the phase began with."""
        return self.anchor_weight > 0 or self.anchor_final > 0

    def _check_anchor(self) -> None:
        require(self.anchor_weight >= 0, f"anchor_weight={self.anchor_weight}", "0 or more")
        require(self.anchor_final >= 0, f"anchor_final={self.anchor_final}", "0 or more")
        require(0 <= self.anchor_tau <= 1, f"anchor_tau={self.anchor_tau}", "in [0, 1]")
        require(self.anchor_steps >= 1, f"anchor_steps={self.anchor_steps}", "at least 1")


@dataclass(frozen=True)
class PhaseConfig(AnchorTerms, CloningTerms, ActorTerms, ConservativeTerms, TargetTerms):
    """All terms of one phase; their fields come in the order targets, regulariser, actor, cloning, anchor, these.

    Attributes:
        actor_delay: The targets, and at the end of an update the actor, learn when the number of critic updates is a
            multiple of this (TD3: 2).
        critic_only: Leave actor and temperature as they are. (An encoder that the critics train changes what it sees.)
    """

    actor_delay: int = 1
    critic_only: bool = False

    def __post_init__(self) -> None:
        self._check_targets()
        self._check_regulariser()
        self._check_actor()
        self._check_cloning()
        self._check_anchor()
        require(self.actor_delay >= 1, f"actor_delay={self.actor_delay}", "at least 1")
        samples = self.cql_alpha > 0 or self.max_target_backup or self.entropy_backup
        require(
            self.expectile is None or not samples,
            f"expectile={self.expectile} with cql_alpha, max_target_backup or entropy_backup",
            "implicit Q-learning alone, which draws no actions",
        )
