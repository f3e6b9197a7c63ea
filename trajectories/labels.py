"""Rewards, terminations and Monte-Carlo returns of episodes. Pure functions.

This is the only place where labels are made. The recorder labels an episode once, when it ends; the labels travel
with it through stores and links, and replay takes them as they are (`labelled`). They are made anew only where they
don't follow from the outcome any more: somebody changed his mind about it, or the data follow another convention.
Returns depend on the discount, which is the learner's: replay computes them when it takes an episode in.

The conventions are those of PA-RL (MaxSobolMark/PolicyAgnosticRL), the closest released relative of RoboFuME
(arXiv 2310.15145): every step costs -1 until the task is done; the last three frames of a success cost
nothing and terminate (mask 0), which gives the critic more than one frame per episode in which the goal is
reached. Running out of time terminates nothing: the critic still bootstraps from the last observation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trajectories.errors import InvalidEpisodeError
from trajectories.types import Bool, Episode, Float32, Outcome

STEP_REWARD = -1.0
SUCCESS_FRAMES = 3


def sparse_labels(length: int, outcome: Outcome, success_frames: int = SUCCESS_FRAMES) -> tuple[Float32, Bool]:
    """Sparse rewards of an episode.

    Args:
        length: Number of steps T.
        outcome: Only "success" has steps that are rewarded and terminate.
        success_frames: How many of the last steps of a success that is; all of a shorter episode.

    Returns:
        rewards: float32 (T,), -1 but for 0 in the last `success_frames` of a success.
        terminated: bool (T,), True exactly where the reward is 0.

    Raises:
        InvalidEpisodeError: When `length` or `success_frames` is below 1.
    """
    if length < 1 or success_frames < 1:
        raise InvalidEpisodeError(
            f"length {length} and success_frames {success_frames} must both be at least 1 to label an episode."
        )
    terminated = np.zeros(length, np.bool_)
    if outcome == "success":
        terminated[-success_frames:] = True
    rewards = np.where(terminated, 0.0, STEP_REWARD).astype(np.float32)
    return rewards, terminated


def monte_carlo_returns(rewards: Float32, terminated: Bool, truncated: Bool, gamma: float) -> Float32:
    """Discounted return from every step to the end of its episode.

    G_t = r_t + gamma * (1 - terminated_t) * G_{t+1}.

    Where an episode ends without success, its last reward is taken to go on for ever: G = r / (1 - gamma). A
    failure thus has the return r_neg / (1 - gamma) at every step, the convention of PA-RL and Cal-QL, and k
    steps before the first success frame the return is -(1 - gamma^k) / (1 - gamma). Several episodes in a row
    may be given at once if each of them ends with a step that is terminated or truncated; the end of the
    arrays also is an end.

    Args:
        rewards: float32 (T,).
        terminated: bool (T,).
        truncated: bool (T,), True at ends without success. Terminated wins where both are True.
        gamma: Discount per step, 0 <= gamma < 1.

    Returns:
        float32 (T,).

    Raises:
        InvalidEpisodeError: When the columns have different lengths or gamma is out of range.
    """
    if not 0.0 <= gamma < 1.0:
        raise InvalidEpisodeError(f"gamma is {gamma}, expected 0 <= gamma < 1: failures cost r / (1 - gamma).")
    if not (len(rewards) == len(terminated) == len(truncated)):
        raise InvalidEpisodeError(
            f"rewards, terminated and truncated have {len(rewards)}, {len(terminated)} and {len(truncated)} "
            f"steps, "
            "expected as many each."
        )
    returns = np.empty(len(rewards), np.float64)
    following = None
    for t in range(len(rewards) - 1, -1, -1):
        reward = float(rewards[t])
        if terminated[t]:
            following = reward
        elif truncated[t] or following is None:
            following = reward / (1.0 - gamma)
        else:
            following = reward + gamma * following
        returns[t] = following
    return returns.astype(np.float32)


def outcome_labels(length: int, outcome: Outcome, success_frames: int = SUCCESS_FRAMES) -> tuple[Float32, Bool, Bool]:
    """Rewards and terminations as of `sparse_labels`, and truncations bool (T,): anything but success ends in one."""
    rewards, terminated = sparse_labels(length, outcome, success_frames)
    truncated = np.zeros(length, np.bool_)
    truncated[-1] = outcome != "success"
    return rewards, terminated, truncated


def relabel(episode: Episode, outcome: Outcome, success_frames: int = SUCCESS_FRAMES) -> Episode:
    """The episode as it would have been recorded had the judge said `outcome`.

    Anything but success ends in a truncation: the recording stopped before the task was done. The id stays;
    give the result a new one to store it beside the original.
    """
    rewards, terminated, truncated = outcome_labels(len(episode), outcome, success_frames)
    return replace(episode, outcome=outcome, rewards=rewards, terminated=terminated, truncated=truncated)


def follow_outcome(episode: Episode) -> bool:
    """Whether an episode's rewards, terminations and truncations are those that `relabel` would give it."""
    steps, success = len(episode), episode.outcome == "success"
    begin = max(0, steps - SUCCESS_FRAMES) if success else steps
    return bool(
        (episode.rewards[:begin] == STEP_REWARD).all()
        and (episode.rewards[begin:] == 0.0).all()
        and not episode.terminated[:begin].any()
        and episode.terminated[begin:].all()
        and not episode.truncated[:-1].any()
        and bool(episode.truncated[-1]) != success
    )


def labelled(episode: Episode) -> Episode:
    """The episode with labels that follow from its outcome: itself where it has them, else relabelled."""
    return episode if follow_outcome(episode) else relabel(episode, episode.outcome)
