"""The published methods for tasks observed as states, by name, with the values of their papers.

    method("wsrl", action_size=7, family="adroit").agent

Families are those of D4RL that the papers give values for: locomotion (dense rewards), antmaze (sparse, long), adroit
(binary, dexterous) and kitchen. Rewards are scaled and shifted by the data's door, observations normalised there too.

What all of them share here and no paper has: orthogonal initial weights (WSRL has them), an actor update that sees all
of the `utd` parts of a batch (WSRL; RLPD and REDQ take the last part), a temperature of softplus(raw) (WSRL; SAC, REDQ
and RLPD take exp(raw)), and losses averaged over the critics, where some references sum them (which Adam undoes).
Weight decay, dropout and learning-rate schedules are left out; where a reference has one, its comment says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from policies.agent.config import AgentConfig, HistogramConfig, NetworkConfig, PhaseConfig
from trajectories.errors import ConfigError
from trajectories.registry import Registry

Family = Literal["locomotion", "antmaze", "adroit", "kitchen"]


@dataclass(frozen=True)
class Method:
    """An agent, and how it is fed.

    Attributes:
        agent: Networks, losses and optimisers of all phases.
        source: Paper and code that the values are from.
        pretrains: It learns from a data set before it acts. (Without, and with an `offline_ratio`, it needs one all the
            same.)
        online: It learns from acting.
        batch: Transitions of one critic update.
        utd: Critic updates for every environment step.
        offline_ratio: Share of offline data in online batches.
        warmup_steps: Environment steps before the first online update.
        normalise: Observations are to be normalised by the data set.
    """

    agent: AgentConfig
    source: str
    pretrains: bool = True
    online: bool = True
    batch: int = 256
    utd: int = 1
    offline_ratio: float = 0.5
    warmup_steps: int = 0
    normalise: bool = False


def method(name: str, action_size: int, family: Family = "locomotion") -> Method:
    """The method of that name.

    Args:
        name: One of `METHODS`.
        action_size: A; some published values depend on it.
        family: Kind of task that the values are for.

    Raises:
        ConfigError: For an unknown name or family, with the known ones.
    """
    make = METHODS[name]
    if family not in get_args(Family):
        raise ConfigError(f"unknown family {family!r}; expected one of {', '.join(get_args(Family))}")
    if action_size < 1:
        raise ConfigError(f"action_size={action_size} is out of range; expected at least 1")
    if not callable(make):
        raise ConfigError(
            f"The method {name!r} of a package outside is {make!r}; a function (actions, family) is expected."
        )
    found = make(action_size, family)
    if not isinstance(found, Method):
        raise ConfigError(f"The method {name!r} of a package outside gives {found!r}; a Method is expected.")
    return found


def classified(agent: AgentConfig, low: float, high: float, bins: int = 101) -> AgentConfig:
    """The same agent with critics that classify (HL-Gauss, arXiv 2403.03950, whose Atari agents have 51 ... 101 bins).

    Args:
        agent: Any.
        low: Lower end of the support; some bins below the lowest value.
        high: Upper end; some bins above the highest.
        bins: Their number.
    """
    return replace(agent, networks=replace(agent.networks, critic_bins=HistogramConfig(bins, low, high)))


def _same(phase: PhaseConfig) -> dict[str, PhaseConfig]:
    """All phases alike, the warm-up for the critics alone."""
    return {"offline": phase, "warmup": replace(phase, critic_only=True), "online": phase}


def _agent(networks: NetworkConfig, phases: dict[str, PhaseConfig], **changes: object) -> AgentConfig:
    """What the papers agree on: gamma 0.99, tau 0.005, Adam at 3e-4, temperature from 1, targets not clamped."""
    shared: dict[str, object] = {
        "gamma": 0.99,
        "tau": 0.005,
        "initial_temperature": 1.0,
        "target_range": None,
        "target_critics": None,
        "action_limit": 0.99999,
    }
    return AgentConfig(networks=networks, **{**shared, **phases, **changes})  # type: ignore[arg-type]


def _plain(actor: tuple[int, ...], critic: tuple[int, ...], critics: int = 2) -> NetworkConfig:
    """MLPs without LayerNorm; log std in [-20, 2]."""
    return NetworkConfig(
        actor_hidden=actor, critic_hidden=critic, critics=critics, actor_norm=False, critic_norm=False,
        log_std_min=-20.0, log_std_max=2.0,
    )  # fmt: skip


def _bc(_: int, family: Family) -> Method:
    """A tanh-Gaussian by likelihood; sizes and step size aren't published as one set: those of TD3+BC's BC."""
    networks = _plain((256, 256), (256, 256))
    cloning = PhaseConfig(extraction="bc", bc_loss="nll", clone_all=True)
    return Method(_agent(networks, _same(cloning)), "behaviour cloning by likelihood", online=False)


def _bc_deterministic(_: int, family: Family) -> Method:
    networks = replace(_plain((256, 256), (256, 256)), policy="deterministic")
    cloning = PhaseConfig(extraction="bc", bc_loss="mse", clone_all=True)
    return Method(_agent(networks, _same(cloning)), "the BC of TD3+BC, arXiv 2106.06860, appendix", online=False)


def _iql_networks() -> NetworkConfig:
    """Two critics, a state value, a Gaussian with a tanh on its mean and one log std in [-5, 2] for all states."""
    return replace(
        _plain((256, 256), (256, 256)), value_hidden=(256, 256), policy="gaussian", std="shared",
        log_std_min=-5.0, log_std_max=2.0,
    )  # fmt: skip


def _iql(_: int, family: Family) -> Method:
    """Expectile 0.7 and beta 3 (locomotion), 0.9 and 10 (AntMaze), 0.7 and 0.5 (kitchen and Adroit).

    Left out: the cosine schedule of the actor's step size, and dropout 0.1 of the actor in kitchen and Adroit.
    The reference appends online data to the offline data; the share of 0.5 is ours.
    """
    expectile = 0.9 if family == "antmaze" else 0.7
    beta = {"locomotion": 3.0, "antmaze": 10.0, "adroit": 0.5, "kitchen": 0.5}[family]
    phase = PhaseConfig(expectile=expectile, extraction="awr", awr_beta=beta, awr_clip=100.0, actor_q="min")
    return Method(_agent(_iql_networks(), _same(phase)), "arXiv 2110.06169; ikostrikov/implicit_q_learning")


def _iql_ddpg(_: int, family: Family) -> Method:
    """IQL's values with DDPG+BC in place of AWR: -Q(s, mu(s)) / mean |Q| - alpha log pi(a | s).

    With pi of standard deviation 1, as in OGBench, that log-likelihood is -|a - mu(s)|^2 / 2 and a constant: the policy
    is deterministic here and the weight of the squared error alpha / 2. Papers tune alpha by task; 1.0 is ours.
    """
    networks = replace(_iql_networks(), policy="deterministic")
    expectile = 0.9 if family == "antmaze" else 0.7
    phase = PhaseConfig(
        expectile=expectile, extraction="ddpg", actor_q="min", q_scale=1.0,
        bc_weight=0.5, bc_balance=False, bc_loss="mse", clone_all=True,
    )  # fmt: skip
    return Method(_agent(networks, _same(phase)), "arXiv 2406.09329, arXiv 2110.06169; seohongpark/ogbench")


def _calql_networks(family: Family, critics: int, norm: bool) -> NetworkConfig:
    """Sizes of WSRL's table (arXiv 2412.07762): std clipped to [1e-5, 10], state-independent for AntMaze."""
    critic = {"locomotion": (256,) * 2, "antmaze": (256,) * 4, "adroit": (512,) * 3, "kitchen": (512,) * 3}[family]
    actor = {"locomotion": (256,) * 2, "antmaze": (256,) * 2, "adroit": (512,) * 2, "kitchen": (512,) * 3}[family]
    return NetworkConfig(
        actor_hidden=actor, critic_hidden=critic, critics=critics, actor_norm=norm, critic_norm=norm,
        log_std_min=-11.513, log_std_max=2.303, std="shared" if family == "antmaze" else "state",
    )  # fmt: skip


def _conservative(family: Family, *, calibrated: bool, all_critics: bool) -> PhaseConfig:
    """CQL with 10 actions each, importance sampling (not in kitchen) and max-target backup."""
    return PhaseConfig(
        cql_alpha={"locomotion": 5.0, "antmaze": 1.0, "adroit": 1.0, "kitchen": 5.0}[family],
        cql_gap=0.8 if family == "antmaze" else None,
        calibrated=calibrated,
        cql_actions=10,
        cql_critics=None if all_critics else 2,
        importance_sampling=family != "kitchen",
        max_target_backup=True,
        actor_q="min",
    )


def _rates() -> dict[str, object]:
    """Step sizes of Cal-QL and WSRL: critics and Lagrange multiplier 3e-4, actor and temperature 1e-4."""
    return {"actor_lr": 1e-4, "critic_lr": 3e-4, "temperature_lr": 1e-4, "lagrange_lr": 3e-4}


def _cql(_: int, family: Family) -> Method:
    """Two critics without LayerNorm; the same losses go on online, on batches that are half offline."""
    networks = _calql_networks(family, 2, norm=False)
    phase = _conservative(family, calibrated=False, all_critics=True)
    return Method(_agent(networks, _same(phase), **_rates()), "arXiv 2006.04779; the CQL agent of nakamotoo/Cal-QL")


def _calql(_: int, family: Family) -> Method:
    """CQL's values with the Monte-Carlo lower bound, which stays on online; half of each online batch is offline."""
    networks = _calql_networks(family, 2, norm=False)
    phase = _conservative(family, calibrated=True, all_critics=True)
    return Method(_agent(networks, _same(phase), **_rates()), "arXiv 2303.05479; nakamotoo/Cal-QL")


def _wsrl(_: int, family: Family) -> Method:
    """Cal-QL (CQL for locomotion) with 10 critics, then SAC on online data alone; no update in the first 5,000 steps.

    The targets' critics are drawn with replacement, the actor takes the minimum over all 10, there is no entropy in the
    backup, and the max-target backup goes on online for AntMaze only.
    """
    offline = _conservative(family, calibrated=family != "locomotion", all_critics=False)
    online = PhaseConfig(max_target_backup=family == "antmaze", cql_actions=10, actor_q="min")
    phases = {"offline": offline, "warmup": replace(online, critic_only=True), "online": online}
    agent = _agent(_calql_networks(family, 10, norm=True), phases, target_critics=2, **_rates())
    return Method(agent, "arXiv 2412.07762; zhouzypaul/wsrl", utd=4, offline_ratio=0.0, warmup_steps=5_000)


def _wsrl_kl(action_size: int, family: Family) -> Method:
    """WSRL, kept near its start by KL(policy || start) from 1 to 0.1 over 3,000 updates, times the rewards' scale.

    Ours, against the dip of the first updates: docs/results/warmup.md.
    """
    found = _wsrl(action_size, family)
    weight = {"locomotion": 1.0, "antmaze": 10.0, "adroit": 10.0, "kitchen": 1.0}[family]
    online = replace(found.agent.online, anchor_weight=weight, anchor_final=weight / 10, anchor_steps=3000)
    return replace(found, agent=replace(found.agent, online=online), source=f"{found.source}; the anchor is ours")


def _sac(_: int, family: Family) -> Method:
    """Two critics of 2 x 256 in all families; no pre-training, and 10,000 steps at random first."""
    phase = PhaseConfig(entropy_backup=True, actor_q="min")
    agent = _agent(_plain((256, 256), (256, 256)), _same(phase))
    return Method(agent, "arXiv 1812.05905", pretrains=False, offline_ratio=0.0, warmup_steps=10_000)


def _redq(_: int, family: Family) -> Method:
    """10 critics, 2 distinct ones in the target, the mean for the actor, UTD 20.

    The target entropy is a table by environment in the reference; -A, its "auto", here.
    """
    phase = PhaseConfig(entropy_backup=True, actor_q="mean")
    networks = _plain((256, 256), (256, 256), critics=10)
    agent = _agent(networks, _same(phase), target_critics=2, distinct_targets=True)
    source = "arXiv 2101.05982; watchernyu/REDQ"
    return Method(agent, source, pretrains=False, offline_ratio=0.0, utd=20, warmup_steps=5_000)


def _rlpd(action_size: int, family: Family) -> Method:
    """REDQ's ensemble with LayerNorm in the critics, half of each batch offline, no pre-training, UTD 20.

    Locomotion: entropy in the backup, 2 x 256, 2 critics in the target; Adroit: none, 3 x 256, 2; AntMaze: none,
    3 x 256, 1. Kitchen isn't published: as Adroit. Target entropy -A / 2.
    """
    hidden = (256,) * (2 if family == "locomotion" else 3)
    phase = PhaseConfig(entropy_backup=family == "locomotion", actor_q="mean")
    networks = replace(_plain(hidden, hidden, critics=10), critic_norm=True)
    agent = _agent(
        networks, _same(phase), target_critics=1 if family == "antmaze" else 2, distinct_targets=True,
        target_entropy=-action_size / 2,
    )  # fmt: skip
    return Method(agent, "arXiv 2302.02948; ikostrikov/rlpd", pretrains=False, utd=20, warmup_steps=5_000)


def _td3bc(action_size: int, family: Family) -> Method:
    """An alpha of 2.5, target noise 0.2 clipped at 0.5, delay 2, the first critic for the actor.

    Observations are to be normalised. The squared error is a mean over the action's entries in the paper's code and a
    sum here, hence 1 / A. Online values aren't published: the same losses go on.
    """
    networks = replace(_plain((256, 256), (256, 256)), policy="deterministic", target_policy=True)
    phase = PhaseConfig(
        extraction="ddpg", actor_q="first", q_scale=2.5, target_noise=0.2, target_noise_clip=0.5, actor_delay=2,
        bc_weight=1 / action_size, bc_balance=False, bc_loss="mse", clone_all=True,
    )  # fmt: skip
    return Method(_agent(networks, _same(phase)), "arXiv 2106.06860; sfujim/TD3_BC", normalise=True)


def _awac(_: int, family: Family) -> Method:
    """A lambda of 1 for locomotion and 0.3 for Adroit (not published for the other two: 0.3), 4 x 256, batch 1,024.

    Weights exp(A / lambda) clipped at 100 (CORL's; the paper has no number): see `losses.awr`. A Gaussian with one log
    std of -6 + 6 sigmoid(raw), raw from 0, as in rail-berkeley/rlkit. The actor's weight decay of 1e-4 is left out.
    Online data is appended to the offline data in the reference; the share of 0.5 is ours.
    """
    networks = replace(
        _plain((256,) * 4, (256,) * 4), policy="gaussian", std="shared", std_bound="sigmoid",
        log_std_min=-6.0, log_std_max=0.0,
    )  # fmt: skip
    beta = 1.0 if family == "locomotion" else 1 / 0.3
    phase = PhaseConfig(extraction="awr", awr_beta=beta, awr_clip=100.0, actor_q="min")
    return Method(_agent(networks, _same(phase)), "arXiv 2006.09359; rail-berkeley/rlkit", batch=1024)


def _robofume(_: int, family: Family) -> Method:
    """Cal-QL with cloning of the demonstrations, both losses equally large, offline and online on mixed batches.

    Neither UTD, batch, cql_alpha, learning rates nor the networks behind the encoder are published: those of Cal-QL.
    """
    phase = replace(_conservative(family, calibrated=True, all_critics=True), bc_weight=1.0, bc_loss="nll")
    networks = _calql_networks(family, 2, norm=False)
    return Method(_agent(networks, _same(phase), **_rates()), "arXiv 2310.15145, section IV-B")


_OWN: dict[str, Callable[[int, Family], Method]] = {
    "bc": _bc,
    "bc_deterministic": _bc_deterministic,
    "iql": _iql,
    "iql_ddpg": _iql_ddpg,
    "cql": _cql,
    "calql": _calql,
    "sac": _sac,
    "redq": _redq,
    "rlpd": _rlpd,
    "wsrl": _wsrl,
    "wsrl_kl": _wsrl_kl,
    "td3bc": _td3bc,
    "awac": _awac,
    "robofume": _robofume,
}
METHODS: Registry[Callable[[int, Family], Method]] = Registry("regrasp.methods", "method", _OWN)
"""Name -> maker of the method, called with the size of actions and the family of tasks.

Packages add to it by the entry point `regrasp.methods`; `METHODS.own` are the names that are ours.
"""
