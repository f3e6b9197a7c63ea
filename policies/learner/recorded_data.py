"""The episodes that there are to pre-train on, and those of them that are kept from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from policies.learner.store_shares import require_shares
from policies.perception.gaps import Gaps
from policies.perception.rewording import Wordings, asked_both_ways, reworded
from policies.replay.dataset import read_all, read_whole
from trajectories.alignment import EpisodeSource, missing_of, require_ids_of_their_own
from trajectories.errors import ConfigError
from trajectories.kinds import began_done, kind_of, teaches_actions
from trajectories.manifest import EpisodeInfo
from trajectories.s3.path import StorePath
from trajectories.types import Episode, RobotSpec

ENOUGH = 4
"""Episodes of a kind from which on one is held out whatever the share: fewer can't spare one."""


@dataclass(frozen=True)
class RecordedData:
    """The stores of one robot, or of others as if they were its own, and what of them is learned from.

    Attributes:
        stores: Play, demonstrations, failures and prior data; the first one's robot is the one that learns.
        task: The target task.
        wordings: Direction -> instructions of the target task; each of its episodes is used under all of them.
        share: Of each store's episodes that are kept from training.
        shares: Of each store in a batch; None draws from all of them as from one.
    """

    stores: Sequence[EpisodeSource]
    task: str
    wordings: Wordings
    share: float = 0.0
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("Pre-training needs at least one store of episodes. Run `regrasp collect` first.")
        for store in self.stores[1:]:
            self.spec.require_same(store.spec, f"The trajectory store {store.path}")
        require_ids_of_their_own(self.stores)
        if self.shares is not None:
            require_shares(self.shares, len(self.stores))

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
        return frozenset().union(*(held_out_ids(store.infos(), self.share) for store in self.stores))

    @property
    def instructions(self) -> list[str]:
        """Every text that a policy has to know."""
        return [*(info.instruction for info in self.infos), *self._known]

    @property
    def meanings(self) -> dict[str, list[str]]:
        """Direction of the target task -> the texts that were recorded for it or are known to mean it, and it alone."""
        mine = [info for info in self.infos if info.task == self.task]
        said = {
            way: {*same, *(info.instruction for info in mine if info.direction == way)}
            for way, same in self.wordings.items()
        }
        both = set.intersection(*said.values()) if len(said) > 1 else set()
        return {way: sorted(texts - both) for way, texts in said.items()}

    @property
    def most_frames(self) -> int:
        """Upper bound of the frames to learn keypoints from."""
        return sum(info.length + 1 for info in self.infos if info.id not in self.held_out)

    def gaps(self, cameras: Sequence[str]) -> Gaps:
        """What some of the stores lack of what a policy sees that looks through these cameras."""
        return Gaps.of(self.stores, cameras)

    def training(self, stores: Sequence[EpisodeSource] | None = None) -> Iterator[Episode]:
        """The episodes to learn from, those of the task under every wording; of these stores, None takes all."""
        return reworded(self._kept(self.stores if stores is None else stores), self.task, self.wordings)

    def places(self, *, began: bool) -> Iterator[Episode]:
        """The episodes to learn from where things are, with or without what `began_done`; see `asked_both_ways`."""
        return asked_both_ways(self._kept(self.stores), self.task, self.wordings, began=began)

    def _kept(self, stores: Sequence[EpisodeSource]) -> Iterator[Episode]:
        return (episode for episode in read_all(stores) if episode.id not in self.held_out)

    def measured(self, stores: Sequence[EpisodeSource] | None = None) -> Iterator[Episode]:
        """The episodes that are kept from training, as they were recorded; of these stores, None takes all."""
        for store in self.stores if stores is None else stores:
            yield from read_whole(store, [name for name in store.ids() if name in self.held_out])

    def identity(self) -> dict[str, Any]:
        """Plain JSON of what decides the transitions."""
        total = hashlib.sha256()
        for info in self.infos:
            row = [info.id, info.task, info.instruction, info.direction, info.outcome, info.length, kind_of(info)]
            row += [began] if (began := began_done(info)) is not None else []
            total.update(json.dumps(row).encode())
        return {
            "task": self.task,
            "wordings": {direction: list(texts) for direction, texts in self.wordings.items()},
            "robot": self.spec.digest,
            "episodes": f"{len(self.infos)}, digest {total.hexdigest()[:12]}",
            **({} if len(self.stores) == 1 else {"stores": list(self.composition().values())}),
        }

    @property
    def names(self) -> list[str]:
        """A short name of each store: the end of its path, as much of it as tells it from the others."""
        return distinct_ends([store.path for store in self.stores])

    def composition(self) -> dict[str, dict[str, Any]]:
        """Name of each store -> its episodes, steps to learn from, what it lacks, and its share if shares are set."""
        rows = {}
        for i, (name, store) in enumerate(zip(self.names, self.stores, strict=True)):
            infos = store.infos()
            learned = [info for info in infos if info.id not in self.held_out and teaches_actions(info)]
            rows[name] = {
                "episodes": len(infos),
                "steps": sum(info.length for info in learned),
                "without": str(missing_of(store)),
                **({} if self.shares is None else {"share": self.shares[i]}),
            }
        return rows

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
        if teaches_actions(info):
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


def distinct_ends(paths: Sequence[StorePath]) -> list[str]:
    """The last parts of each path, as few for all of them as tell them apart; "/" between the parts is "_"."""
    parts = [path.resolve().parts[1:] for path in paths]
    for count in range(1, max(len(names) for names in parts) + 1):
        ends = ["_".join(names[-count:]) for names in parts]
        if len(set(ends)) == len(ends):
            break
    return ends
