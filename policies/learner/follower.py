"""`Follower`: a rank that learns with the learner's, and does in the same order what that one tells it.

The first rank alone talks to actors, has the run's store and its files, and decides what is done when. The others have
the same agent and replay, with a share of the replay's frames, and only read the pre-trained policy and the data that a
method keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.agent_file import agent_content, agent_from
from policies.agent.config import AgentConfig
from policies.common.orders import heard, tell
from policies.common.ranks import Ranks
from policies.learner.kept_data import KeptData
from policies.learner.learner_config import LearnerConfig
from policies.learner.online_trainer import COMPARE, DRAWS, UPDATE
from policies.perception.rewording import Wordings
from policies.policy import load_policy
from policies.replay.leading_replay import LeadingReplay, obey
from policies.replay.replay import Replay
from policies.replay.replay_settings import ReplaySettings
from policies.replay.ring_buffer import Fields
from policies.replay.source_weights import SourceWeights
from robot.signals import ENDINGS, on_signals
from trajectories.alignment import EpisodeSource
from trajectories.errors import ConfigError, LinkError
from trajectories.types import RobotSpec

BEGIN, END = "begin", "end"


def begin_together(agent: Agent, ranks: Ranks, capacity: int) -> None:
    """Let the others have the agent of the run, and make a replay of the run's capacity.

    Args:
        agent: As the run begins, or goes on.
        ranks: Of which this is the first.
        capacity: Frames.
    """
    if ranks.count > 1:
        payload, header = agent_content(agent)
        words = {"agent": header, "config": agent.config.to_dict(), "n_step": agent.config.n_step}
        tell(ranks, BEGIN, payload, capacity=capacity, trains_encoder=agent.encoder is not None, **words)
    agent.join(ranks)


def weights_of(config: LearnerConfig) -> SourceWeights:
    """How often a step of the run is drawn."""
    return SourceWeights(person=config.person_weight, progress=config.progress_weight)


def online_replay(
    config: LearnerConfig, agent: AgentConfig, fields: Fields, capacity: int, device: torch.device | str, seed: int,
    ranks: Ranks,
) -> Replay:  # fmt: skip
    """The empty replay of a run; the first rank's tells the others what is done with it.

    Args:
        config: Settings.
        agent: Settings of the agent.
        fields: Of the perception's frames.
        capacity: Frames.
        device: Where the agent lives.
        seed: Of the draws.
        ranks: That share it.
    """
    leads = ranks.first and ranks.count > 1
    return ReplaySettings(agent.n_step, config.replay_device).empty(
        capacity, fields, gamma=agent.gamma, device=device, seed=seed, weights=weights_of(config), ranks=ranks,
        kind=LeadingReplay if leads else Replay,
    )  # fmt: skip


class Follower:
    """Updates of one rank, as the first one orders them.

    Attributes:
        agent: What is trained.
        source: What batches are drawn from.
    """

    def __init__(
        self,
        ranks: Ranks,
        pretrained: Path,
        spec: RobotSpec,
        config: LearnerConfig,
        *,
        offline: Sequence[EpisodeSource] = (),
        task: str | None = None,
        wordings: Wordings | None = None,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        """Wait for the first rank's learner, and begin as it does.

        Args:
            ranks: Of which this is not the first.
            pretrained: Folder written by `pretrain`: the same one as there, or a copy.
            spec: The robot.
            config: Settings: those of there, like all that follow here.
            offline: See `Learner`.
            task: See `Learner`.
            wordings: See `Learner`.
            device: Where the agent lives.
            seed: See `Learner`.

        Raises:
            RankLostError: Another rank is gone.
        """
        order, payload, words = heard(ranks)
        if order != BEGIN:
            raise LinkError(f"The first rank began with the order {order!r}; expected {BEGIN!r}. Are versions alike?")
        self._ranks, self._schedule = ranks, config.schedule
        perception = load_policy(pretrained, spec).perception
        if perception.encoder is not None:
            perception.encoder.to(device)
        encoder = perception.trained if words["trains_encoder"] else None
        if encoder is None and perception.trained is not None:
            perception.trained.freeze()
        settings = AgentConfig.from_dict({**words["config"], "n_step": words["n_step"]})
        self.agent, _ = agent_from(payload, words["agent"], settings, pretrained, device=device, encoder=encoder)
        self.agent.join(ranks)
        self._replay = online_replay(config, settings, perception.fields, int(words["capacity"]), device, seed, ranks)
        self.source = KeptData(offline, task, wordings or {}).mix(self._replay, perception, config, seed + 1)

    def run(self) -> None:
        """Do as the first rank does until it ends; a signal to end is left to that one.

        Raises:
            RankLostError: Another rank is gone.
        """
        done: Mapping[str, Callable[[Mapping[str, Tensor], Mapping[str, Any]], None]] = {
            UPDATE: self._update, COMPARE: self._compare, DRAWS: self._draws,
        }  # fmt: skip
        with on_signals(lambda: None, *ENDINGS):
            while True:
                order, tensors, words = heard(self._ranks)
                if order == END:
                    return
                if order in done:
                    done[order](tensors, words)
                elif not obey(self._replay, order, tensors, words):
                    raise LinkError(f"The first rank gave the order {order!r}, unknown here. Are versions alike?")

    def _update(self, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> None:
        del tensors
        self.agent.set_phase(words["phase"])
        self.agent.update(self.source.sample(self._schedule.batch * self._schedule.utd), self._schedule.utd)

    def _compare(self, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> None:
        del tensors, words
        self._ranks.require_same(self.agent.actor_weights(), "the policy")

    def _draws(self, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> None:
        del words
        try:
            self.source.load_state_dict(tensors)
        except ConfigError:
            return  # the first rank says so, and goes on with the draws as they are, too
