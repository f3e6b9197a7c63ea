"""The reward model of a session, measured before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.reward import reward_of
from factory.spec import spec_of
from factory.task import instructions_of
from robot.interfaces import Policy
from robot.rollout.judging import judge_s, judges_beside, policy_s, require_between, sample_observation
from trajectories.types import Observation

if TYPE_CHECKING:
    from rewards.kind import LoadedReward


@dataclass(frozen=True)
class SessionJudge:
    """A reward model and when it works.

    Attributes:
        reward: It.
        beside: Beside the motion of the next step rather than between two steps, see `robot.rollout.judging`.
    """

    reward: LoadedReward
    beside: bool


def session_judge(config: DictConfig, policy: Policy, notify: Callable[[str], None]) -> SessionJudge:
    """The run's reward model, for a session with this policy; in the twin, where time waits, it may take any time.

    Args:
        config: Settings.
        policy: Who will act.
        notify: Gets a line about what was measured.

    Raises:
        ConfigError: When it is too slow for the control rate, or does not know one of the task's instructions.
        CheckpointError, SpecMismatchError: As `factory.reward.reward_of`.
    """
    spec, reward = spec_of(config), _reward(config)
    if config.robot.name == "twin":
        return SessionJudge(reward, False)
    judge = judge_s(reward, _observation(config))
    acting = policy_s(policy, _observation(config))
    beside = judges_beside(judge, acting, 1.0 / spec.control_hz)
    where = "beside the motion, so that it decides a step later" if beside else "between two steps"
    notify(f"The judge takes {1e3 * judge:.0f} ms, the policy {1e3 * acting:.0f} ms: it judges {where}.")
    return SessionJudge(reward, beside)


def measured_reward(config: DictConfig) -> LoadedReward:
    """The run's reward model for whoever asks it between two control steps; in the twin it may take any time.

    Raises:
        ConfigError: When that takes longer than between two steps, or it does not know one of the task's instructions.
        CheckpointError, SpecMismatchError: As `factory.reward.reward_of`.
    """
    reward = _reward(config)
    if config.robot.name != "twin":
        require_between(judge_s(reward, _observation(config)), 1.0 / spec_of(config).control_hz)
    return reward


def _reward(config: DictConfig) -> LoadedReward:
    """The reward model, after it has heard every instruction that a session may ask it about."""
    reward = reward_of(config, spec_of(config))
    for texts in instructions_of(config).values():
        for text in texts:
            reward.reset(text)
    return reward


def _observation(config: DictConfig) -> Observation:
    return sample_observation(spec_of(config), instructions_of(config)["forward"][0])
