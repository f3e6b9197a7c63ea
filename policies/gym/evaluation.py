"""Measuring a policy in a Gymnasium environment, without a trace in its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from policies.gym.acting import GymPolicy, Stream, seed_of
from policies.gym.environment import FlatEnv
from policies.gym.settings import EvaluationSettings, Mode
from trajectories.errors import InvalidEpisodeError

_SUCCESS = ("success", "is_success")


@dataclass(frozen=True)
class EpisodeResult:
    """What came of one episode.

    Attributes:
        total: Undiscounted sum of the environment's own rewards.
        steps: Length.
        success: Whether any step's info said success; None when the environment never says.
    """

    total: float
    steps: int
    success: bool | None


def success_of(info: Mapping[str, Any], before: bool | None) -> bool | None:
    """Success so far, with one more step's info.

    Args:
        info: "success" or "is_success" may be true or false (0 and 1, and arrays of one of these, too), or robomimic's
            dictionary, whose entry "task" says it.
        before: Success so far; None when no step has said.

    Raises:
        InvalidEpisodeError: The entry is anything else.
    """
    for key in _SUCCESS:
        if key in info:
            return _truth(info[key], f'info["{key}"]') or bool(before)
    return before


def _truth(value: Any, where: str) -> bool:
    if isinstance(value, Mapping) and "task" in value:
        value, where = value["task"], f'{where}["task"]'
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "biuf" or number.item() not in (0, 1):
        raise InvalidEpisodeError(
            f"{where} is {value!r}; expected true or false for the whole task, or robomimic's dictionary with an entry "
            "'task'. Let the environment say one or the other, or leave the entry out."
        )
    return bool(number.item())


def evaluate(policy: GymPolicy, env: FlatEnv, settings: EvaluationSettings, mode: Mode) -> list[EpisodeResult]:
    """Run whole episodes from the evaluation's own starts.

    Args:
        policy: Who acts.
        env: From `make_env`; not the one that training goes on in.
        settings: How many episodes, from which seed.
        mode: "stochastic" or "deterministic".

    Raises:
        InvalidEpisodeError: A step isn't finite, or says something else than true or false of success.
    """
    results = []
    with policy.own_draws(seed_of(settings.seed, Stream.SAMPLED_EVALUATION)):
        for number in range(settings.episodes):
            observation, _ = env.reset(seed=seed_of(settings.seed, Stream.EVALUATION, number))
            result, over = EpisodeResult(0.0, 0, None), False
            while not over:
                action = policy.act(observation, mode == "deterministic")
                observation, reward, terminated, truncated, info = env.step(action)
                success = success_of(info, result.success)
                result = EpisodeResult(result.total + float(reward), result.steps + 1, success)
                over = terminated or truncated
            results.append(result)
    return results


def summary(results: list[EpisodeResult], prefix: str) -> dict[str, float]:
    """Means over episodes as metrics: return, length, and success where the environment says so."""
    values = {
        f"{prefix}/return": fmean(result.total for result in results),
        f"{prefix}/length": fmean(result.steps for result in results),
    }
    known = [result.success for result in results if result.success is not None]
    if known:
        values[f"{prefix}/success"] = fmean(known)
    return values


def evaluate_all(policy: GymPolicy, env: FlatEnv, settings: EvaluationSettings) -> dict[str, float]:
    """Every mode's means, e.g. {"eval/stochastic/return": -12.5, "eval/stochastic/success": 0.8, ...}."""
    values: dict[str, float] = {}
    for mode in settings.modes:
        values |= summary(evaluate(policy, env, settings, mode), f"eval/{mode}")
    return values
