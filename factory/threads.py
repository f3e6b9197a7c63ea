"""How many threads of the processor training computes with: one for each core that nothing else here needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from policies.common.launch import Launch
from rewards.vlm_kind import threads_from
from robot.link.tls import is_loopback
from trajectories.errors import ConfigError

AUTO = "auto"
MOST_OF_A_LEARNER = 4
"""Networks of a few hundred units wait more for their threads than these compute with more."""
WORTH_SHARING = 150e6
"""Multiply-adds of a layer of all critics from which on a second thread saves more time than it takes to wake it.

Measured on two cores (docs/results/speed.md): a WSRL update of 10 critics of 2 x 64 (10 million) took 15 ms on one
thread and 26 on two, of 2 x 128 (42 million) 41 and 66; Cal-QL's (325 and 1,300 million) 49 and 46, 114 and 99.
"""


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
    the twin it computes while the actor waits for it. Networks that are too small to share get one thread.

    Raises:
        ConfigError: `threads` is neither auto nor a whole number of at least 1, or the method's settings are wrong.
    """
    others: list[tuple[int, str]] = []
    if is_loopback(config.link.address):
        others.append((1, "actor"))
        if config.robot.name != "twin":
            others += [(1, "arm's loop"), (threads_from(config.reward), "judge")]
    if _worth_sharing(config):
        return _choice(config.threads, others, cores(), MOST_OF_A_LEARNER)
    return _choice(config.threads, others, cores(), 1)


def _worth_sharing(config: DictConfig) -> bool:
    """Whether updates online are so large, or an encoder of images is trained along."""
    from factory.policy import agent_config, feeding_of

    agent = agent_config(config)
    hidden = agent.networks.critic_hidden
    widest = max(rows * columns for rows, columns in zip(hidden, hidden[1:] or hidden, strict=False))
    rows = feeding_of(config).batch * (1 + 3 * agent.online.cql_actions * (agent.online.cql_alpha > 0))
    return not config.finetune.freeze_encoder or rows * widest * agent.networks.critics >= WORTH_SHARING


def cores() -> int:
    """Cores that this process may run on; of several that `torchrun` started on this machine, its share of them."""
    return max(1, len(os.sched_getaffinity(0)) // Launch.of().local_count)


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
    why = f", beside {', '.join(f'{name} {count}' for count, name in others)}" if others else ""
    if threads < left:
        why += "; such small networks compute no faster with more" if most == 1 else "; more would not be faster"
    return ThreadChoice(threads, f"threads=auto: {threads} of {there} cores{why}.")
