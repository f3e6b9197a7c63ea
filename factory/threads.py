"""How many threads of the processor training computes with: one for each core that nothing else here needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from rewards.vlm_kind import threads_from
from robot.link.tls import is_loopback
from trajectories.errors import ConfigError

AUTO = "auto"
MOST_OF_A_LEARNER = 4
"""Networks of a few hundred units wait more for their threads than these compute with more."""


@dataclass(frozen=True)
class ThreadChoice:
    """What was decided.

    Attributes:
        threads: Number, at least 1.
        why: A line for people.
    """

    threads: int
    why: str


def training_threads(config: DictConfig) -> ThreadChoice:
    """For `pretrain` and `train-reward`, beside which nothing of ours runs: all cores.

    Raises:
        ConfigError: `threads` is neither auto nor a whole number of at least 1.
    """
    return _choice(config.threads, [], cores())


def learner_threads(config: DictConfig) -> ThreadChoice:
    """For the learner: the cores that actor, judge and the arm's loop leave, where these are on this machine.

    They are where the link is on loopback. The judge counts where an arm moves in real time, with its own threads: in
    the twin it computes while the actor waits for it.

    Raises:
        ConfigError: `threads` is neither auto nor a whole number of at least 1.
    """
    others: list[tuple[int, str]] = []
    if is_loopback(config.link.address):
        others.append((1, "actor"))
        if config.robot.name != "twin":
            others += [(1, "arm's loop"), (threads_from(config.reward), "judge")]
    return _choice(config.threads, others, cores(), MOST_OF_A_LEARNER)


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _choice(setting: object, others: Sequence[tuple[int, str]], there: int, most: int | None = None) -> ThreadChoice:
    """Decide.

    Args:
        setting: "auto" or a number.
        others: Cores that others need, and who.
        there: Cores.
        most: Threads beyond which more don't help; None without such a number.
    """
    if setting != AUTO:
        if isinstance(setting, bool) or not isinstance(setting, int) or setting < 1:
            raise ConfigError(f"threads={setting} is unknown; expected auto or a whole number of at least 1.")
        return ThreadChoice(setting, f"threads={setting} of {there} cores, as given.")
    left = max(1, there - sum(count for count, _ in others))
    threads = left if most is None else min(left, most)
    needed = f", beside {', '.join(f'{name} {count}' for count, name in others)}" if others else ""
    return ThreadChoice(threads, f"threads=auto: {threads} of {there} cores{needed}.")
