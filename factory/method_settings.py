"""The settings of the group `method`, checked, and those of the group `agent` that a published method reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import DictConfig

from factory.spec import plain
from policies.replay.choices import Corrections, Kept
from trajectories.errors import ConfigError
from trajectories.settings import build

_OWN_TEMPERATURE = "agent.initial_temperature"


@dataclass(frozen=True)
class MethodSettings:
    """How a policy is trained; configs/method and configs/published/arm.yaml say what each key is, null included.

    Attributes:
        name: Its name, for what is written about a run.
        registry: Name in `policies.agent.methods.METHODS`; None for networks and losses of the group `agent`.
        family: Kind of task that the registry's values are for.
        hidden: Widths of hidden layers, with a registry.
        retention: Share of offline data in online batches.
        utd: Critic updates for every environment step.
        batch: Transitions of one critic update.
        offline: Which offline data.
        initial_temperature: Weight of the entropy at the start, with a registry.
        critic_only: First updates that leave the policy as it is.
        person_weight: How often a person's step is drawn, beside the policy's.
        corrections: Where a person's steps are drawn.
    """

    name: str
    registry: str | None = None
    family: str | None = None
    hidden: tuple[int, ...] | None = None
    retention: float | None = None
    utd: int | None = None
    batch: int | None = None
    offline: Kept = "target"
    initial_temperature: float | None = None
    critic_only: int = 0
    person_weight: float = 1.0
    corrections: Corrections = "online"

    def __post_init__(self) -> None:
        for name in ("utd", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"method.{name}={value} is out of range; expected a whole number, at least 1.")
        if self.registry is not None:
            return
        for name in ("retention", "utd", "batch"):
            if getattr(self, name) is None:
                raise ConfigError(f"method.{name}=null takes a published value, and method={self.name} has none.")
        for name, own in (("family", ""), ("hidden", ""), ("initial_temperature", f"; give {_OWN_TEMPERATURE}")):
            if getattr(self, name) is not None:
                raise ConfigError(
                    f"method.{name}={getattr(self, name)} belongs to the published methods, and method={self.name} has "
                    f"the networks and losses of the group `agent`{own}."
                )


@dataclass(frozen=True)
class ReadOfAgent:
    """What a published method reads of the group `agent`; the rest of its networks and losses are the published ones.

    Attributes:
        gamma: Discount of one control step.
        n_step: Steps of rewards that a TD target sums.
        bf16: Matrix products in bfloat16.
        compile: "auto", true or false.
        critic_loss: "mse", "hl_gauss" or None for the method's own.
        critic_range: Lowest and highest return that "hl_gauss" tells apart; None for what rewards add up to.
    """

    gamma: float
    n_step: int
    bf16: bool
    compile: Any = "auto"
    critic_loss: str | None = None
    critic_range: Any = None


def method_settings(config: DictConfig) -> MethodSettings:
    """The group `method`.

    Raises:
        ConfigError: For an unknown key, a value of the wrong type or out of range, or one that the method doesn't read.
    """
    return cast(MethodSettings, build(MethodSettings, plain(config.method), "method"))


def read_of_agent(config: DictConfig, overrides: Sequence[str]) -> ReadOfAgent:
    """What a published method reads of the group `agent`.

    Args:
        config: Settings.
        overrides: What a person gave on the command line.

    Raises:
        ConfigError: A value is of the wrong type, or the person gave one that the method doesn't read.
    """
    known = [f"agent.{name}" for name in ReadOfAgent.__dataclass_fields__]
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.startswith("agent.") and key not in known:
            raise ConfigError(
                f"{override} changes nothing: method={config.method.name} has the networks and losses of its paper and "
                f"reads {', '.join(known)} alone. Leave it out, or give method=regrasp, which reads all of them."
            )
    given = plain(config.agent)
    return cast(
        ReadOfAgent, build(ReadOfAgent, {name: given[name] for name in ReadOfAgent.__dataclass_fields__}, "agent")
    )
