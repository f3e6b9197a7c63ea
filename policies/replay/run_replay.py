"""`RunReplay`: a run's replay across restarts, read back from its files, encoded anew only where that doesn't hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from policies.perception.protocol import Perception
from policies.replay.dataset import ReplayEpisode, for_replay
from policies.replay.replay import Replay
from policies.replay.replay_parts import ReplayParts
from policies.replay.shaping import NO_SHAPING, Labels, Shaping
from trajectories.errors import CheckpointError, CorruptEpisodeError
from trajectories.kinds import was_unsure
from trajectories.labels import monte_carlo_returns, outcome_labels
from trajectories.manifest import EpisodeInfo, describe
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, Outcome
from trajectories.verdicts import VerdictBook

logger = logging.getLogger(__name__)


class RunReplay:
    """The online replay, which of the store's episodes it was given, and the files that keep both.

    The files only save work: the store has every episode. Each save writes what has come since the last one, so that
    training hardly waits for it, however large the replay is. A person's verdicts relabel what the replay holds; the
    files keep the labels that they were written with, and `refill` relabels what was read from them.

    Attributes:
        replay: The content.
    """

    def __init__(self, folder: Path, replay: Replay, perception: Perception, shaping: Shaping = NO_SHAPING) -> None:
        """A run's replay, empty until `refill`.

        Args:
            folder: Of the files. What earlier versions wrote, one file of that name and the ending .safetensors, is
                read, too, until the first save has put its content into the folder.
            replay: Empty.
            perception: What its frames come through.
            shaping: What progress adds to the rewards; files of a run with another are encoded anew.
        """
        self.replay, self._shaping = replay, shaping
        self._parts, self._perception = ReplayParts(folder, replay), perception
        self._before = folder.with_name(f"{folder.name}.safetensors")
        self._marks: list[list[Any]] = []  # of all episodes ever added, in order

    def refill(self, store: TrajectoryStore, verdicts: VerdictBook) -> Iterator[EpisodeInfo]:
        """Restore everything that the store holds; yields each episode's info once it is in the replay.

        Episodes come in the order in which they arrived, as far as the files know it, then in order of creation. Those
        that `was_unsure` are yielded, too, but not replayed, unless somebody has said since how they went. A damaged
        episode is left out with a warning. All are labelled by the outcomes that `verdicts` make count.
        """
        self._read(store)
        for id in set(verdicts.episodes) & {mark[0] for mark in self._marks}:
            info = store.info(id)
            self.relabel(info, verdicts.outcome(info))
        for mark in self._marks:
            yield store.info(mark[0])
        known = {mark[0] for mark in self._marks}
        for id in store.ids():
            if id in known:
                continue
            try:
                episode = store.read(id)
            except CorruptEpisodeError as error:
                logger.warning("going on without a damaged episode: %s", error)
                continue
            judged = verdicts.judged(episode)
            if was_unsure(judged):
                yield store.info(id)
                continue
            gamma, gains = self.replay.gamma, self.replay.weights.gains
            self.add(episode, for_replay(judged, self._perception, gamma, self._shaping, gains=gains))
            yield store.info(id)

    def add(self, episode: Episode, encoded: ReplayEpisode) -> None:
        """Append an episode that is in the store; its labels may follow from a verdict."""
        encoded.add_to(self.replay)
        self._marks.append(_mark(describe(episode)))

    def knows(self, id: str) -> bool:
        """Whether the episode was ever added, whether or not newer ones have taken its place since."""
        return any(mark[0] == id for mark in self._marks)

    def relabel(self, info: EpisodeInfo, outcome: Outcome) -> bool:
        """Give an episode the labels of an outcome; returns whether the replay holds it (still, and already)."""
        dropped = len(self._marks) - self.replay.episodes
        place = next((i for i in range(len(self._marks) - 1, dropped - 1, -1) if self._marks[i][0] == info.id), None)
        if place is None:
            return False
        length = int(self._marks[place][3])
        rewards, terminated, truncated = outcome_labels(length, outcome)
        returns = monte_carlo_returns(rewards, terminated, truncated, self.replay.gamma)
        labels = self._shaping.shaped(Labels(rewards, terminated, returns), info.metadata, info.id, self.replay.gamma)
        self.replay.relabel(
            place - dropped, labels.rewards, terminated, labels.mc_returns, worth_copying=outcome == "success"
        )
        return True

    def save(self) -> None:
        """Write what was added since the last save.

        A disk that refuses is no more than a warning: a restart then encodes the missing episodes anew.
        """
        if len(self._marks) == self._parts.saved:
            return
        try:
            about = {
                "features": self._perception.digest, "episodes": self._marks, "shaping": self._shaping.weight,
                "gains": self.replay.weights.gains,
            }  # fmt: skip
            self._parts.save(len(self._marks), about)
            self._before.unlink(missing_ok=True)
        except CheckpointError as error:
            logger.warning("the replay is not kept, a restart will encode its episodes anew: %s", error)

    def _read(self, store: TrajectoryStore) -> None:
        """Fill the replay from the files as far as they hold what the store does."""
        try:
            if self._parts.load(lambda about: self._accept(about, store), _warn):
                del self._marks[self._parts.saved :]
            elif self._before.exists():
                self.replay.load(self._before, lambda about: self._accept(about, store))
        except CheckpointError as error:
            _warn(error)

    def _accept(self, about: Mapping[str, Any], store: TrajectoryStore) -> None:
        """Take over the files' episodes, or refuse them: not the store's, or not seen through this perception."""
        if about["features"] != self._perception.digest:
            raise CheckpointError(
                f"{self._parts.folder} holds features of encoder {about['features'][:12]}, the policy has "
                f"{self._perception.digest[:12]}."
            )
        if about.get("shaping", 0.0) != self._shaping.weight:
            raise CheckpointError(
                f"{self._parts.folder} holds rewards with progress at {about.get('shaping', 0.0)}, the settings have "
                f"{self._shaping.weight}."
            )
        if about.get("gains", False) != self.replay.weights.gains:
            raise CheckpointError(
                f"{self._parts.folder} holds episodes {'with' if about.get('gains') else 'without'} the progress that "
                "their steps gained, and the settings ask for the other."
            )
        stored = {info.id: _mark(info) for info in store.infos()}
        for mark in about["episodes"]:
            if stored.get(mark[0]) != mark:
                raise CheckpointError(
                    f"{self._parts.folder} holds episode {mark[0]} as {mark[1:]}, the store as "
                    f"{stored.get(mark[0], [])[1:]}."
                )
        self._marks = [list(mark) for mark in about["episodes"]]


def _warn(error: CheckpointError) -> None:
    logger.warning("episodes of the run are encoded anew: %s", error)


def _mark(info: EpisodeInfo) -> list[Any]:
    """What the labels of an episode were made from, as plain JSON."""
    return [info.id, info.outcome, info.instruction, info.length]
