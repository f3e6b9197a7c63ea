"""`plan`: when which process is killed and whose network is cut, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from benchmarks.arms.relay import Cut

LEARNER = "learner"
_LEARNERS = 0.3
"""Share of the kills that the learner gets."""
_ALL = 0.3
"""Share of the cuts that all arms get."""
_LONGEST_PAUSE_S = 8.0
_SHORTEST_CUT_S, _LONGEST_CUT_S = 2.0, 45.0
"""Shorter than an actor counts as away, and longer than gRPC's keepalive takes to end a connection."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL.

    Attributes:
        at_s: Since the beginning.
        victim: Its name.
        pause_s: Until it is started again.
    """

    at_s: float
    victim: str
    pause_s: float


@dataclass(frozen=True)
class NetworkCut:
    """A cut.

    Attributes:
        at_s: Since the beginning.
        arms: Whose.
        how: Of `Relay.cut`.
        seconds: Until it is mended.
    """

    at_s: float
    arms: tuple[str, ...]
    how: Cut
    seconds: float


def plan(
    names: Sequence[str], seconds: float, kills: int, cuts: int, seed: int
) -> tuple[tuple[Kill, ...], tuple[NetworkCut, ...]]:
    """Draw what happens in a soak, spread over its time but for the first and the last twentieth.

    Args:
        names: Of the actors.
        seconds: That it lasts.
        kills: Of one process each.
        cuts: Of the network.
        seed: Of the draws.
    """
    rng = random.Random(seed)
    moments = lambda count: sorted(rng.uniform(0.05 * seconds, 0.95 * seconds) for _ in range(count))  # noqa: E731
    deaths = tuple(
        Kill(at, LEARNER if rng.random() < _LEARNERS else rng.choice(names), rng.uniform(0, _LONGEST_PAUSE_S))
        for at in moments(kills)
    )
    longest = min(_LONGEST_CUT_S, seconds / 10)
    gaps = tuple(
        NetworkCut(
            at,
            tuple(names) if rng.random() < _ALL else (rng.choice(names),),
            rng.choice(get_args(Cut)),
            rng.uniform(min(_SHORTEST_CUT_S, longest), longest),
        )
        for at in moments(cuts)
    )
    return deaths, gaps
