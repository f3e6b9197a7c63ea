"""`RunReplay`: a run's replay across restarts, read back from its file, encoded anew only where that doesn't hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from policies.perception.protocol import Perception
from policies.replay.dataset import ReplayEpisode, for_replay
from policies.replay.replay import Replay
from trajectories.errors import CheckpointError, CorruptEpisodeError
from trajectories.manifest import EpisodeInfo, describe
from trajectories.store import TrajectoryStore
from trajectories.types import Episode

logger = logging.getLogger(__name__)
_GROWTH = 0.1


class RunReplay:
    """The online replay, which of the store's episodes it was given, and the file that keeps both.

    The file only saves work: the store has every episode. It is written when a run is closed, and meanwhile whenever
    the data have grown by a tenth, so that all writing together stays about ten times the replay's size.

    Attributes:
        replay: The content.
    """

    def __init__(self, path: Path, replay: Replay, perception: Perception) -> None:
        """A run's replay, empty until `refill`.

        Args:
            path: The file.
            replay: Empty.
            perception: What its frames come through.
        """
        self.replay = replay
        self._path, self._perception = path, perception
        self._marks: list[list[Any]] = []  # of all episodes ever added, in order
        self._saved = 0

    def refill(self, store: TrajectoryStore) -> Iterator[EpisodeInfo]:
        """Restore everything that the store holds; yields each episode's info once it is in the replay.

        Episodes come in the order in which they arrived, as far as the file knows it, then in order of creation.
        A damaged episode is left out with a warning.
        """
        if self._path.exists():
            try:
                self.replay.load(self._path, lambda about: self._accept(about, store))
            except CheckpointError as error:
                logger.warning("all episodes of the run are encoded anew: %s", error)
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
            self.add(episode, for_replay(episode, self._perception, self.replay.gamma))
            yield store.info(id)

    def add(self, episode: Episode, encoded: ReplayEpisode) -> None:
        """Append an episode that is in the store."""
        encoded.add_to(self.replay)
        self._marks.append(_mark(describe(episode)))

    def save(self, *, if_grown: bool = False) -> None:
        """Write the file if anything was added since; with `if_grown`, only after enough of it.

        A disk that refuses is no more than a warning: a restart then encodes the missing episodes anew.
        """
        fresh = self.replay.added - self._saved
        if fresh == 0 or (if_grown and fresh < _GROWTH * self._saved):
            return
        try:
            self.replay.save(self._path, {"features": self._perception.digest, "episodes": self._marks})
            self._saved = self.replay.added
        except CheckpointError as error:
            logger.warning("the replay is not kept, a restart will encode its episodes anew: %s", error)

    def _accept(self, about: Mapping[str, Any], store: TrajectoryStore) -> None:
        """Take over the file's episodes, or refuse it: not the store's, or not seen through this perception."""
        if about["features"] != self._perception.digest:
            raise CheckpointError(
                f"{self._path} holds features of encoder {about['features'][:12]}, the policy has "
                f"{self._perception.digest[:12]}."
            )
        stored = {info.id: _mark(info) for info in store.infos()}
        for mark in about["episodes"]:
            if stored.get(mark[0]) != mark:
                raise CheckpointError(
                    f"{self._path} holds episode {mark[0]} as {mark[1:]}, the store as {stored.get(mark[0], [])[1:]}."
                )
        self._marks = [list(mark) for mark in about["episodes"]]
        self._saved = sum(mark[-1] for mark in self._marks)


def _mark(info: EpisodeInfo) -> list[Any]:
    """What the labels of an episode were made from, as plain JSON."""
    return [info.id, info.outcome, info.instruction, info.length]
