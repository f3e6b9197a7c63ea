"""The episodes that there are to pre-train on, and those of them that are kept from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from policies.perception.rewording import Wordings, reworded
from policies.replay.dataset import read_all, read_whole
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, PLAY, kind_of
from trajectories.manifest import EpisodeInfo
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec

ENOUGH = 4
"""Episodes of a kind from which on one is held out whatever the share: fewer can't spare one."""


@dataclass(frozen=True)
class RecordedData:
    """The stores of one robot, and what of them is learned from.

    Attributes:
        stores: Play, demonstrations, failures and prior data.
        task: The target task.
        wordings: Direction -> instructions of the target task; each of its episodes is used under all of them.
        share: Of the episodes that are kept from training.
    """

    stores: Sequence[TrajectoryStore]
    task: str
    wordings: Wordings
    share: float = 0.0

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("Pre-training needs at least one store of episodes. Run `regrasp collect` first.")
        for store in self.stores[1:]:
            self.spec.require_same(store.spec, f"The trajectory store {store.path}")

    @property
    def spec(self) -> RobotSpec:
        """The robot."""
        return self.stores[0].spec

    @cached_property
    def infos(self) -> list[EpisodeInfo]:
        """Of all episodes, in order."""
        return [info for store in self.stores for info in store.infos()]

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Ids of the episodes that are kept from training."""
        return held_out_ids(self.infos, self.share)

    @property
    def instructions(self) -> list[str]:
        """Every text that a policy has to know."""
        return [*(info.instruction for info in self.infos), *self._known]

    @property
    def most_frames(self) -> int:
        """Upper bound of the frames to learn keypoints from."""
        return sum(info.length + 1 for info in self.infos if info.id not in self.held_out)

    def training(self, *, successes_only: bool = False) -> Iterator[Episode]:
        """The episodes to learn from, those of the task under every wording; see `reworded`."""
        kept = (episode for episode in read_all(self.stores) if episode.id not in self.held_out)
        return reworded(kept, self.task, self.wordings, successes_only=successes_only)

    def measured(self) -> Iterator[Episode]:
        """The episodes that are kept from training, as they were recorded."""
        for store in self.stores:
            yield from read_whole(store, [name for name in store.ids() if name in self.held_out])

    def identity(self) -> dict[str, Any]:
        """Plain JSON of what decides the transitions."""
        total = hashlib.sha256()
        for info in self.infos:
            row = [info.id, info.task, info.instruction, info.direction, info.outcome, info.length, kind_of(info)]
            total.update(json.dumps(row).encode())
        return {
            "task": self.task,
            "wordings": {direction: list(texts) for direction, texts in self.wordings.items()},
            "robot": self.spec.digest,
            "episodes": f"{len(self.infos)}, digest {total.hexdigest()[:12]}",
        }

    @property
    def _known(self) -> list[str]:
        return [text for texts in self.wordings.values() for text in texts]


def held_out_ids(infos: Iterable[EpisodeInfo], share: float) -> frozenset[str]:
    """Which episodes are kept from training.

    Each episode has a place in [0, 1) by a hash of its id and is held out below `share`: whatever is recorded later,
    it stays on its side. Of each task, direction and outcome with `ENOUGH` episodes at least one is held out (the one
    with the lowest place), and never all. Play and aftermaths teach perception alone and are never held out.

    Args:
        infos: Of all episodes.
        share: 0 holds out none.
    """
    if share == 0:
        return frozenset()
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for info in infos:
        if kind_of(info) not in (PLAY, AFTERMATH):
            kinds.setdefault((info.task, info.direction, info.outcome), []).append(info.id)
    held: set[str] = set()
    for names in kinds.values():
        ordered = sorted(names, key=place_of)
        count = sum(place_of(name) < share for name in ordered)
        least = 1 if len(ordered) >= ENOUGH else 0
        held |= set(ordered[: min(max(count, least), len(ordered) - 1)])
    return frozenset(held)


def place_of(name: str) -> float:
    """A number in [0, 1) from an episode's id, always the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
