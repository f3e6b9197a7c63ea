"""Monte-Carlo returns of flat episodes. Pure functions."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from trajectories.errors import ConfigError
from trajectories.labels import monte_carlo_returns
from trajectories.types import Float32

Tail = Literal["repeat", "zero"]
"""What is taken to follow where an episode is cut: the last reward for ever, or nothing."""


def returns_to_go(rewards: Float32, terminated: bool, gamma: float, tail: Tail) -> Float32:
    """Discounted return from every step of one episode, G_t = r_t + gamma G_{t+1}.

    After a termination nothing follows. After a cut, "repeat" takes the last reward to go on for ever,
    G = r / (1 - gamma): for sparse rewards a failure then has r_neg / (1 - gamma) at every step, as in Cal-QL
    (arXiv 2303.05479, its reference's `calc_return_to_go` with sparse rewards). "zero" adds nothing, as that reference
    does for dense rewards.

    Args:
        rewards: float32 (T,), after scale and bias.
        terminated: Whether the last step ended the task.
        gamma: Discount per step, 0 <= gamma < 1.
        tail: "repeat" or "zero".

    Returns:
        float32 (T,).

    Raises:
        ConfigError: For a gamma out of range or another tail.
    """
    if not 0.0 <= gamma < 1.0:
        raise ConfigError(f"gamma={gamma} is out of range; expected 0 <= gamma < 1.")
    if tail not in get_args(Tail):
        raise ConfigError(f"The tail of a return is {tail!r}; expected one of {', '.join(get_args(Tail))}.")
    terminal, cut = np.zeros((2, len(rewards)), np.bool_)
    terminal[-1] = terminated or tail == "zero"
    cut[-1] = not terminal[-1]
    return monte_carlo_returns(rewards, terminal, cut, gamma)
