"""Measuring a policy in a Gymnasium environment, without a trace in its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from policies.gym.acting import GymPolicy, Stream, seed_of
from policies.gym.environment import FlatEnv
from policies.gym.settings import EvaluationSettings, Mode

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
    """Success so far, with one more step's info ("success" or "is_success")."""
    for key in _SUCCESS:
        if key in info:
            return bool(info[key]) or bool(before)
    return before


def evaluate(policy: GymPolicy, env: FlatEnv, settings: EvaluationSettings, mode: Mode) -> list[EpisodeResult]:
    """Run whole episodes from the evaluation's own starts.

    Args:
        policy: Who acts.
        env: From `make_env`; not the one that training goes on in.
        settings: How many episodes, from which seed.
        mode: "stochastic" or "deterministic".
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
