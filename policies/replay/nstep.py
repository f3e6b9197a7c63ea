"""n-step rewards and discounts of one episode, and the columns that replay keeps of them, as pure functions."""

from __future__ import annotations

import numpy as np

from trajectories.types import Bool, Float32, Int64


def n_step(rewards: Float32, terminated: Bool, gamma: float, n: int) -> tuple[Float32, Float32, Int64]:
    """Sum up to n rewards from every step on, never across a termination or the episode's end.

    Sutton and Barto (2018), eq. 7.1, with m <= n steps: R_t = sum_{i<m} gamma^i r_{t+i}, and the bootstrap
    from the observation m steps later weighs gamma^m (1 - terminated). An episode that ends without
    termination was truncated, so its last steps bootstrap from its last observation.

    Args:
        rewards: float32 (T,).
        terminated: bool (T,).
        gamma: Discount of one step.
        n: Steps to sum at most.

    Returns:
        rewards float32 (T,), discounts float32 (T,), and m int64 (T,), the steps really taken.
    """
    steps = len(rewards)
    total = np.zeros(steps, np.float64)
    ahead = np.zeros(steps, np.int64)
    alive = np.ones(steps, bool)  # no termination yet and still inside the episode
    ended = np.zeros(steps, bool)
    for i in range(n):
        at = np.minimum(np.arange(steps) + i, steps - 1)
        alive &= np.arange(steps) + i < steps
        total += np.where(alive, gamma**i * rewards[at], 0.0)
        ahead += alive
        ended |= alive & terminated[at]
        alive &= ~terminated[at]
    discount = np.where(ended, 0.0, gamma**ahead)
    return total.astype(np.float32), discount.astype(np.float32), ahead


def label_columns(
    rewards: Float32, terminated: Bool, mc_returns: Float32, copied: Bool, gamma: float, n: int
) -> tuple[Float32, Int64]:
    """What replay keeps of an episode's labels.

    Args:
        rewards: float32 (T,).
        terminated: bool (T,).
        mc_returns: float32 (T,).
        copied: bool (T,) whether behaviour cloning copies the step.
        gamma: Discount of one step.
        n: Steps to sum at most.

    Returns:
        float32 (T, 4): n-step reward, discount, Monte-Carlo return, copied; int64 (T,): steps to the frame that is
        bootstrapped from.
    """
    summed, discount, ahead = n_step(rewards, terminated, gamma, n)
    return np.stack([summed, discount, mc_returns, copied], axis=1).astype(np.float32), ahead
