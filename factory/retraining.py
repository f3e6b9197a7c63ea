"""A session's judge, trained anew between episodes once people have spoken about enough of them.

It learns from the run's recorded data and from the episodes of the session that people confirmed or overturned, never
from the judge's own word; its calibration and threshold come from held-out parts of these (`rewards.held_out`). A third
of the session's confirmed episodes is kept from it, another third each time: on these it has to make fewer mistakes
than the judge before, which goes on judging otherwise. Both stay in the run's folder (`factory.judges`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from factory.judges import decisions, judge_in_use, keep_retrained, put_in_use
from factory.reward import informed_reward, train_reward_model
from factory.reward_episodes import RECORDED, confirmed, episodes_of, seen_by, session_episodes
from factory.run_folders import finetune_folder
from factory.sources import open_sources
from factory.spec import cameras_of_judge, spec_of
from policies.learner.run_folder import EPISODES
from trajectories.errors import ConfigError, RegraspError, StoppedError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode
from trajectories.verdicts import VerdictBook

if TYPE_CHECKING:
    from rewards.contest import Mistakes
    from rewards.kind import LoadedReward

Train = Callable[[list[Episode], Callable[[str, float], None], Callable[[str], None], Path], None]
_PARTS = 3
"""One of so many parts of the confirmed episodes is kept from a new judge."""


class Retraining:
    """Called between two episodes; knows of its run's folder alone, so that a restart goes on where it was."""

    def __init__(
        self,
        run_dir: Path,
        episodes: Path,
        every: int,
        train: Train,
        load: Callable[[Path], LoadedReward],
        notify: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        """Look at nothing yet; `retraining_of` makes one from settings.

        Args:
            run_dir: Of the run.
            episodes: The run's store, where its learner keeps it on this machine.
            every: Episodes that people have spoken about from one training to the next.
            train: Trains a reward model on the run's recorded data and more episodes into a folder.
            load: Loads one that has heard every instruction of the task.
            notify: Gets lines for people.
            stop: Ends a training under way; the judge before stays.
        """
        self._run_dir, self._store, self._every = run_dir, episodes, every
        self._train, self._load, self._notify, self._stop = train, load, notify, stop
        self._book: VerdictBook | None = None
        self._calls = 0

    def __call__(self) -> LoadedReward | None:
        """Train and compare if it is time to; returns the new judge where it is to judge from now on.

        What goes wrong is told, and the judge before goes on.

        Raises:
            StoppedError: The session was stopped meanwhile.
        """
        if not self._due():
            return None
        try:
            return self._retrain()
        except StoppedError:
            raise
        except RegraspError as error:
            self._notify(f"The judge was not trained anew, the one before goes on: {error}")
            return None

    def _due(self) -> bool:
        self._calls += 1
        if not (self._store / "store.json").is_file():
            if self._calls == 2:  # the first episode has been acknowledged
                self._notify(
                    f"reward.retrain_every={self._every} has no effect here: the episodes of the run are not on this "
                    f"machine ({self._store}). Run `regrasp train-reward` where its learner is."
                )
            return False
        if self._book is None:
            self._book = VerdictBook(self._store)
        self._book.refresh()
        spoken = sum(self._book.of(id) is not None for id in self._book.episodes)
        before = [int(decision.get("spoken", 0)) for decision in decisions(self._run_dir).values()]
        return spoken - max(before, default=0) >= self._every

    def _retrain(self) -> LoadedReward | None:
        with TrajectoryStore(self._store, read_only=True) as session:
            ids = confirmed(session)
            shown, kept = split(list(session_episodes(session, ids, self._notify)), len(decisions(self._run_dir)))
        self._notify(
            f"Training the judge anew on {len(shown)} episodes of this session that people spoke about; {len(kept)} "
            "more will tell whether it is better. The arm waits."
        )
        won: list[LoadedReward] = []

        def train(folder: Path) -> Mapping[str, Any]:
            about: dict[str, Any] = {"spoken": len(ids), "learned_from": [one.id for one in shown]}
            try:
                self._train(shown, self._progress, self._notify, folder)
            except ConfigError as error:  # certainly not good enough, or too few episodes
                self._notify(f"The judge before goes on: {error}")
                return {**about, "adopted": False, "why": str(error)}
            candidate = self._load(folder)
            before, after = _both(self._load(judge_in_use(self._run_dir)), candidate, kept)
            adopted = after.better_than(before)
            self._notify(
                f"On episodes that it hadn't seen the new judge has {after}, the one before {before}: "
                f"{'the new one' if adopted else 'the one before'} judges from now on."
            )
            won.extend([candidate] if adopted else [])
            return {**about, "adopted": adopted, "before": vars(before), "after": vars(after)}

        name = keep_retrained(self._run_dir, train)
        if won:
            put_in_use(self._run_dir, name)
        return won[0] if won else None

    def _progress(self, stage: str, share: float) -> None:
        if self._stop.is_set():
            raise StoppedError("The session was stopped while its judge was trained anew; the one before stays.")


def split(episodes: list[Episode], turn: int) -> tuple[list[Episode], list[Episode]]:
    """Episodes to learn from, and the third that is kept to compare by; successes and failures are spread evenly.

    Args:
        episodes: By the outcomes that persons said.
        turn: How often this was done before: another third is kept each time.
    """
    ordered = sorted(episodes, key=lambda one: (one.outcome, one.direction, one.id))
    kept = {one.id for place, one in enumerate(ordered) if place % _PARTS == turn % _PARTS}
    return [one for one in episodes if one.id not in kept], [one for one in episodes if one.id in kept]


def _both(before: LoadedReward, after: LoadedReward, episodes: list[Episode]) -> tuple[Mistakes, Mistakes]:
    from rewards.contest import mistakes_of

    return mistakes_of(before, episodes), mistakes_of(after, episodes)


def retraining_of(config: DictConfig, notify: Callable[[str], None], stop: threading.Event) -> Retraining | None:
    """The schedule that `reward.retrain_every` asks for; None for 0, never.

    Raises:
        ConfigError: It is no whole number of at least 0.
    """
    every = config.reward.get("retrain_every", 0)
    if isinstance(every, bool) or not isinstance(every, int) or every < 0:
        raise ConfigError(
            f"reward.retrain_every={every} is out of range; expected a whole number of episodes that people have "
            "spoken about, or 0: never."
        )
    if not every:
        return None
    train, load = partial(_train, config), partial(informed_reward, config)
    return Retraining(Path(config.run_dir), finetune_folder(config) / EPISODES, every, train, load, notify, stop)


def _train(
    config: DictConfig,
    more: list[Episode],
    progress: Callable[[str, float], None],
    notify: Callable[[str], None],
    into: Path,
) -> None:
    """Train a reward model on the run's recorded data and more episodes into a folder."""
    with ExitStack() as stack:
        stores = seen_by(open_sources(config, stack), cameras_of_judge(config), notify)
        recorded = (episode for store in stores for episode in episodes_of(store, RECORDED, notify))
        train_reward_model(config, chain(recorded, more), spec_of(config), progress, into)
