"""The reward model of a session, measured before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.reward import informed_reward
from factory.spec import spec_of
from factory.task import instructions_of
from factory.twin import in_simulated_time
from robot.interfaces import Policy
from robot.rollout.judging import judge_s, judges_beside, policy_s, sample_observation
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from rewards.kind import LoadedReward

_POLICY_S = 0.02
"""Time for an action that is reckoned with where no policy is at hand, s."""


@dataclass(frozen=True)
class SessionJudge:
    """A reward model and when it works.

    Attributes:
        reward: It.
        beside: Beside the motion of the next step rather than between two steps, see `robot.rollout.judging`.
    """

    reward: LoadedReward
    beside: bool


def session_judge(config: DictConfig, policy: Policy | None, notify: Callable[[str], None]) -> SessionJudge:
    """The run's reward model, for a session with this policy; in the twin, where time waits, it may take any time.

    Args:
        config: Settings.
        policy: Who will act; None where that changes, which is taken to be as fast as any.
        notify: Gets a line about what was measured.

    Raises:
        ConfigError: When it is too slow for the control rate, or does not know one of the task's instructions.
        CheckpointError, SpecMismatchError: As `factory.reward.reward_of`.
    """
    spec, reward = spec_of(config), informed_reward(config)
    if in_simulated_time(config):
        return SessionJudge(reward, False)
    observation = sample_observation(spec, instructions_of(config)["forward"][0])
    judge = judge_s(reward, observation)
    acting = _POLICY_S if policy is None else policy_s(policy, observation)
    beside = judges_beside(judge, acting, 1.0 / spec.control_hz)
    where = "beside the motion, so that it decides a step later" if beside else "between two steps"
    notify(f"The judge takes {1e3 * judge:.0f} ms, the policy {1e3 * acting:.0f} ms: it judges {where}.")
    return SessionJudge(reward, beside)


def require_progress(reward: LoadedReward, config: DictConfig, key: str, weight: float) -> None:
    """Refuse a reward model that doesn't say how far a task has come, where learning counts on it.

    Args:
        reward: The run's.
        config: Settings.
        key: Of the setting that counts on it.
        weight: Its value.

    Raises:
        ConfigError: With what to do.
    """
    said = f"{key}={weight} counts on progress"
    if config.reward.get("retrain_every") and not config.reward.get("window"):
        raise ConfigError(
            f"{said}, but reward.retrain_every="
            f"{config.reward.retrain_every} would train a judge that says nothing of it, since reward.window is 0. "
            "Give the reward.window that the judge was trained with, e.g. 8, or reward.retrain_every=0."
        )
    observation = sample_observation(spec_of(config), instructions_of(config)["forward"][0])
    reward.reset(observation.instruction)
    if reward.update(observation).progress is None:
        raise ConfigError(
            f"{said}, of which the run's judge says nothing. "
            f"Train one that sees time (`regrasp train-reward reward.window=8`), or give {key}=0."
        )
    reward.reset(observation.instruction)
