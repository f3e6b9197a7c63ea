"""`OnlineTrainer`: improves an agent while somebody acts with it.

The agent goes on whole (parameters, targets, optimiser moments, temperature) as in WSRL (arXiv 2412.07762): nothing is
learned in the warm-up, then every environment step pays for one update of `utd` critic steps and one actor step, the
first `critic_only` of them in the phase "warmup". Batches come from the online replay, or from a mix with offline data.

Whoever feeds it puts episodes into the online replay and counts their steps:

    policies.learner.learner   replay.add(episode); trainer.pace.add_steps(T); while trainer.update(): publish
    policies.gym.online        env.step(); trainer.pace.add_steps(1); trainer.update()
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from policies.common.orders import tell
from policies.common.ranks import ALONE, Ranks
from policies.learner.divergence import DivergenceWatch
from policies.learner.rate_limiter import UpdateRateLimiter
from policies.learner.schedule import Schedule
from policies.learner.training_state import CheckpointFile, TrainingState
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from trajectories.errors import ConfigError

logger = logging.getLogger(__name__)
UPDATE, COMPARE, DRAWS = "update", "compare", "draws"
"""Orders to ranks that follow; see `policies.common.orders`."""


class OnlineTrainer:
    """Phases, batches, updates, their pace, their losses and the checkpoint; one thread calls all but `pace`.

    Attributes:
        agent: What is trained.
        source: What batches are drawn from: the online replay, or its mix with offline data.
        ranks: Processes that learn together, of which this is the first.
        schedule: Batches and updates.
        pace: Counts environment steps and updates; any thread may ask it.
    """

    def __init__(
        self,
        state: TrainingState,
        file: CheckpointFile,
        schedule: Schedule,
        source: Replay | MixedReplay,
        *,
        steps: int = 0,
        log_every: int,
        log: Callable[[dict[str, float]], None],
        advice: str,
        ranks: Ranks = ALONE,
    ) -> None:
        """Go on from a state.

        Args:
            state: Agent, counters, draws; see `begin_or_resume`.
            file: Where `save` keeps the state.
            schedule: Batches and updates.
            source: The online replay, or its mix with offline data; filled with what it held when the state was saved,
                and maybe more.
            steps: Environment steps so far.
            log_every: Updates between two calls of `log`.
            log: Called with the newest losses by name, those of the present phase.
            advice: What to do when the critics diverge, for the warning.
            ranks: Whose agents learn with this one, as they are told (`policies.learner.follower`).
        """
        self.ranks = ranks
        self.agent, self.schedule, self.source = state.agent, schedule, source
        updates = int(state.progress.get("updates", 0))
        self.pace = UpdateRateLimiter(schedule.warmup_steps, steps=steps, updates=updates)
        self._file, self._identity = file, state.identity
        self._log_every, self._log = log_every, log
        self._watch = DivergenceWatch(self.agent.config, advice)
        self._losses: dict[str, Tensor | float] = dict(state.progress.get("losses", {}))
        self._restore_draws(state.draws)

    @property
    def updates(self) -> int:
        """Updates done, each of `utd` critic steps and one of the actor."""
        return self.pace.updates

    def update(self) -> bool:
        """Do one update, if one is due and there is an episode to learn from; returns whether it was done."""
        if self.pace.owed == 0 or len(self.source) == 0:
            return False
        phase = self.schedule.phase(self.updates)
        if phase != self.agent.phase:
            self._losses = {}
        tell(self.ranks, UPDATE, phase=phase)
        self.agent.set_phase(phase)
        batch = self.source.sample(self.schedule.batch * self.schedule.utd)
        metrics = self.agent.update(batch, self.schedule.utd)
        self._losses |= metrics
        self.pace.add_update()
        if self.updates % self._log_every == 0:
            self._watch.look(batch.reward, metrics)
            self._log(self._settled())
        return True

    def save(self, progress: Mapping[str, Any]) -> None:
        """Write the checkpoint.

        Args:
            progress: Counters of the feeder, plain JSON, kept beside those of the trainer.

        Raises:
            CheckpointError: The disk refuses; the checkpoint before stays.
        """
        tell(self.ranks, COMPARE)
        self.ranks.require_same(self.agent.actor_weights(), "the policy")
        counters = {"updates": self.updates, "losses": self._settled(), **progress}
        self._file.write(TrainingState(self.agent, self._identity, counters, self.source.state_dict()))

    def _settled(self) -> dict[str, float]:
        """The newest value of every loss, taken off the device."""
        return {name: float(value) for name, value in self._losses.items()}

    def _restore_draws(self, draws: Mapping[str, Tensor]) -> None:
        """Go on with the batches where the checkpoint was."""
        if not draws:
            return
        tell(self.ranks, DRAWS, draws)
        try:
            self.source.load_state_dict(draws)
        except ConfigError as error:
            logger.warning("the draws go on from a new seed: %s", error)
