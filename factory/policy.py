"""The settings of a policy: its networks, losses and image encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from factory.method_settings import MethodSettings, method_settings, read_of_agent
from factory.spec import camera_names, plain
from policies.agent.compile_choice import Workload, begun_with, choose_compile, compile_setting
from policies.agent.config import AgentConfig, value_range
from policies.agent.methods import Method, classified, method
from policies.perception.encoders.config import EncoderConfig
from policies.replay.choices import require_place
from trajectories.errors import ConfigError
from trajectories.settings import build
from trajectories.types import ACTION_SIZE

KEYPOINTS = "keypoints"
CRITIC_LOSS = ("critic_loss", "critic_range")
"""Settings of the group `agent` that `with_critic_loss` turns into networks."""
_BEYOND = 0.05
_DEFAULT, _RETENTION = "regrasp", "retention"
_OWN_RETENTION = {_DEFAULT: 0.0, _RETENTION: 0.5}
"""Methods without the registry -> their own share of offline data in online batches (configs/method)."""


@dataclass(frozen=True)
class Feeding:
    """How long and on what a method learns.

    Attributes:
        pretrains: Whether it learns from recorded data before it acts.
        clone_steps: Updates offline by behaviour cloning alone, first.
        steps: Updates offline by the method's losses, after that.
        online: Whether it learns from acting.
        retention: Share of offline data in online batches.
        utd: Critic updates for every environment step.
        batch: Transitions of one critic update, offline and online.
    """

    pretrains: bool
    clone_steps: int
    steps: int
    online: bool
    retention: float
    utd: int
    batch: int


def feeding_of(config: DictConfig) -> Feeding:
    """The method's feeding by the settings; null takes the published value.

    A method of the registry gets as many updates offline as the default has, cloning included.

    Raises:
        ConfigError: For an unknown method, or settings that would make another method of it.
    """
    given = method_settings(config)
    lengths = cast(
        _Lengths, build(_Lengths, {name: config.pretrain[name] for name in ("clone_steps", "steps")}, "pretrain")
    )
    if given.registry is None:
        own, feeding = _OWN_RETENTION.get(given.name), _own_feeding(given, lengths)
    else:
        found = _published(given)
        own = found.offline_ratio
        feeding = Feeding(
            pretrains=found.pretrains,
            clone_steps=0,
            steps=lengths.clone_steps + lengths.steps,
            online=found.online,
            retention=own if given.retention is None else given.retention,
            utd=given.utd or found.utd,
            batch=given.batch or found.batch,
        )
    _require_retention(given.name, own, feeding.retention)
    _require_kept_data(given, feeding)
    return feeding


@dataclass(frozen=True)
class _Lengths:
    """Updates of the default method offline."""

    clone_steps: int
    steps: int


def _own_feeding(given: MethodSettings, lengths: _Lengths) -> Feeding:
    """That of a method without the registry, whose settings say all of it."""
    assert given.retention is not None
    assert given.utd is not None
    assert given.batch is not None
    return Feeding(True, lengths.clone_steps, lengths.steps, True, given.retention, given.utd, given.batch)


def _require_retention(name: str, own: float | None, share: float) -> None:
    """Refuse a share of offline data that contradicts what the method is.

    Args:
        name: Of the method, as people give it.
        own: The share that it has by itself; None for a method of which nothing is known.
        share: The share of the settings.

    Raises:
        ConfigError: With the method that does what was asked for.
    """
    if own == 0 and share != 0:
        instead = (
            "method=retention, the same losses on mixed batches"
            if name == _DEFAULT
            else "a method that keeps some, such as method=rlpd (from nothing), robofume, calql or retention"
        )
        raise ConfigError(
            f"method={name} keeps nothing of the offline data by definition, and method.retention={share} would be "
            f"another method under its name. Give {instead}, with method.retention={share}."
        )
    if name == _RETENTION and share == 0:
        raise ConfigError(f"method={name} with method.retention=0 is method={_DEFAULT}; give that name.")


def _require_kept_data(given: MethodSettings, feeding: Feeding) -> None:
    """Refuse settings of offline data for a method that keeps none.

    Raises:
        ConfigError: Saying which setting, and what to do.
    """
    require_place(given.corrections, feeding.retention)
    if given.offline != "target" and feeding.retention == 0:
        raise ConfigError(
            f"method.offline={given.offline} chooses among the offline data that batches are mixed with, and "
            f"method={given.name} keeps none (retention 0). Leave it out, or give one that keeps some, such "
            "as method=rlpd, robofume or retention."
        )


def require_online(config: DictConfig) -> None:
    """Refuse to fine-tune by a method that ends with pre-training.

    Raises:
        ConfigError: Saying what to do.
    """
    if not feeding_of(config).online:
        raise ConfigError(
            f"method={config.method.name} learns from recorded data only; `regrasp pretrain` is all there is. Give "
            "another method, such as method=regrasp, which clones first and then improves online."
        )


def _published(given: MethodSettings) -> Method:
    return method(str(given.registry), ACTION_SIZE, str(given.family))  # type: ignore[arg-type]


def agent_config(config: DictConfig) -> AgentConfig:
    """The networks and losses of the settings, checked.

    Without a registry they are those of the group `agent`, and targets are clamped to what rewards of -1 and 0 add
    up to. With one they are the published ones, but for the discount of the control rate, the width of networks (see
    configs/published/arm.yaml), and that only demonstrations are cloned: the data hold deliberate failures. Neither
    is compiled yet: see `with_compile`.

    Raises:
        ConfigError: For an unknown method or setting, one of the wrong type, or one that the method doesn't read.
    """
    given = method_settings(config)
    if given.registry is not None:
        return _published_agent(config, given)
    raw = plain(config.agent)
    del raw["compile"]
    critic_loss = [raw.pop(name) for name in CRITIC_LOSS]
    agent = AgentConfig.from_dict({"target_range": None, **raw})
    if "target_range" not in raw:
        agent = replace(agent, target_range=value_range(agent.gamma))
    return with_critic_loss(agent, *critic_loss)


def online_agent_config(config: DictConfig) -> AgentConfig:
    """`agent_config` for fine-tuning: where progress shapes the rewards, targets may lie lower by all that it is worth.

    A shaped return is the return less the potential of the observation (`policies.replay.shaping`).

    Raises:
        ConfigError: As there, or critics that are classifiers can't tell such targets apart.
    """
    agent, worth = agent_config(config), float(config.finetune.shaping)
    if not worth:
        return agent
    bins, lowest = agent.networks.critic_bins, value_range(agent.gamma)[0] - worth
    if bins is not None and bins.low > lowest:
        raise ConfigError(
            f"finetune.shaping={worth:g} makes returns as low as {lowest:g}, and the critics tell apart those from "
            f"{bins.low:g} on. Pre-train with agent.critic_range=[{lowest:g},0], or give finetune.shaping=0."
        )
    if agent.target_range is None:
        return agent
    low, high = agent.target_range
    return replace(agent, target_range=(low - worth, high))


def with_critic_loss(
    agent: AgentConfig,
    loss: str | None,
    values: Sequence[float] | None,
    default: tuple[float, float] | None = None,
) -> AgentConfig:
    """The agent with critics of that loss.

    Args:
        agent: Any.
        loss: "mse" regresses, "hl_gauss" classifies the TD targets (arXiv 2403.03950); None leaves the agent's own.
        values: Lowest and highest value that "hl_gauss" tells apart; its bins reach a twentieth beyond.
        default: What rewards can add up to: what None means for `values`. Without one they have to be given.

    Raises:
        ConfigError: An unknown loss, no range for it, or one that doesn't reach over `default`.
    """
    if loss is None:
        return agent
    if loss == "mse":
        return replace(agent, networks=replace(agent.networks, critic_bins=None))
    if loss != "hl_gauss":
        raise ConfigError(f"agent.critic_loss={loss} is unknown; expected mse, hl_gauss, or null for the method's own.")
    found = agent.target_range or default if values is None else _numbers(values)
    if found is None or len(found) != 2 or not found[0] < found[1]:
        raise ConfigError(
            f"agent.critic_loss=hl_gauss with agent.critic_range={values}: expected [lowest, highest] return of the "
            "task, after rewards are scaled. For rewards of -1 and 0 that is [-1 / (1 - gamma), 0]."
        )
    reached = default or agent.target_range
    if reached is not None and not (found[0] <= reached[0] and reached[1] <= found[1]):
        raise ConfigError(
            f"agent.critic_range={list(found)} leaves out returns that rewards can add up to, {list(reached)}: critics "
            f"would take every return beyond it for its end. Give a range that covers these, or null for just these."
        )
    beyond = _BEYOND * (found[1] - found[0])
    return classified(agent, found[0] - beyond, found[1] + beyond)


def _numbers(values: object) -> tuple[float, ...]:
    """The finite numbers of a list; none of anything else."""
    if not isinstance(values, Sequence | ListConfig) or isinstance(values, str):
        return ()
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def with_compile(
    agent: AgentConfig,
    config: DictConfig,
    work: Sequence[Workload],
    device: str,
    checkpoint: Path | None,
) -> AgentConfig:
    """The agent, compiled where `agent.compile` asks for it or, with auto, where the updates pay for it; says which.

    Args:
        agent: Of the settings.
        config: Settings.
        work: All updates of the run.
        device: Where they are done.
        checkpoint: What the run goes on from, with what it was decided when it began; None or no file for a new one.

    Raises:
        ConfigError: The setting is neither auto, true nor false.
    """
    setting = compile_setting(config.agent.compile)
    choice = choose_compile(setting, agent, work, device, begun_with(checkpoint))
    if choice.why:
        print(choice.why)
    return replace(agent, compile=choice.compile)


def encoder_config(config: DictConfig) -> EncoderConfig | None:
    """The image encoder of the settings, checked; None for keypoints."""
    raw = plain(config.encoder)
    if raw["kind"] != KEYPOINTS:
        return EncoderConfig.from_dict({**raw, "cameras": raw.get("cameras") or [camera_names(config)[0]]})
    if len(raw) > 1:
        raise ConfigError(f"encoder=keypoints has no settings; {sorted(set(raw) - {'kind'})} belong to image encoders.")
    return None


def _published_agent(config: DictConfig, given: MethodSettings) -> AgentConfig:
    agent = _published(given).agent
    if given.hidden is not None:
        agent = agent.with_hidden(given.hidden)
    if given.initial_temperature is not None:
        agent = replace(agent, initial_temperature=given.initial_temperature)
    ours = read_of_agent(config, HydraConfig.get().overrides.task if HydraConfig.initialized() else ())
    agent = replace(
        agent,
        gamma=ours.gamma,
        n_step=ours.n_step,
        bf16=ours.bf16,
        offline=replace(agent.offline, clone_all=False),
        warmup=replace(agent.warmup, clone_all=False),
        online=replace(agent.online, clone_all=False),
    )
    return with_critic_loss(agent, ours.critic_loss, ours.critic_range, value_range(agent.gamma))
