"""Count what actors recorded and what their learner has, from the files of both, apart from what either counts."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.actor import STATUS_FILE
from factory.run_folders import OUTBOX
from policies.learner.learner_status import LearnerStatus
from policies.learner.metrics import read_metrics
from policies.learner.run_folder import EPISODES, METRICS, REPLAY, STATUS
from policies.replay.replay_parts import INDEX
from robot.rollout.actor_status import ActorStatus
from trajectories.kinds import actor_of, was_unsure
from trajectories.layout import Layout
from trajectories.manifest import EpisodeInfo, Manifest
from trajectories.store import TrajectoryStore

_LOOK_S = 0.05
_IMAGES = "image_"
"""What the files of an episode's pictures begin with: no two episodes have the same ones, to the bit."""


class Watch:
    """Looks into every outbox and the learner's store 20 times a second, and at what each actor says it recorded.

    Attributes:
        seen: Actor -> ids of episodes that were in its outbox, or that it counts as recorded.
        stored: Ids that were ever in the learner's store.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Begin to look.

        Args:
            folder: Of the fine-tuning.
            names: Of the actors.
        """
        self.seen: dict[str, set[str]] = {name: set() for name in names}
        self.stored: set[str] = set()
        self._folder, self._stop = folder, threading.Event()
        self._thread = threading.Thread(target=self._look, name="census", daemon=True)
        self._thread.start()

    def state(self, name: str) -> ActorStatus | None:
        """What an actor says of itself; None while it has said nothing."""
        return _said_in(actor_folder(self._folder, name))

    def close(self) -> None:
        """Look once more, then no more."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        last = False
        while True:
            for name, seen in self.seen.items():
                seen.update(recorded_now(actor_folder(self._folder, name)))
            self.stored.update(_ids(self._folder / EPISODES))
            if last:
                return
            last = self._stop.wait(_LOOK_S)


def recorded_now(folder: Path) -> set[str]:
    """Ids of episodes that are in the outbox of the actor that writes in `folder`, or that it says it has recorded."""
    status = _said_in(folder)
    said = () if status is None else status.newest
    return _ids(folder / OUTBOX) | {one.id for one in said}


def actor_folder(folder: Path, name: str) -> Path:
    """Where the actor called `name` writes."""
    return folder / f"actor_{name}"


@dataclass(frozen=True)
class ArmCount:
    """What became of an actor's episodes.

    Attributes:
        recorded: Episodes that were committed to its outbox.
        stored: Episodes of its name in the learner's store.
        lost: Ids that were recorded and are neither stored nor in its outbox.
        waiting: Episodes that are still in its outbox.
        steps: Of its stored episodes, without those about which the judge was unsure.
        unsure: How many these are.
        told: What `learner.json` says of it: episodes, steps, unsure, resets, state.
    """

    recorded: int
    stored: int
    lost: tuple[str, ...]
    waiting: int
    steps: int
    unsure: int
    told: Mapping[str, Any]

    def faults(self) -> Iterator[str]:
        """What is wrong."""
        if self.lost:
            yield f"lost {', '.join(self.lost[:5])}"
        if self.waiting:
            yield f"{self.waiting} episodes wait in its outbox"
        if self.recorded != self.stored:
            yield f"{self.recorded} episodes were recorded, {self.stored} are stored"
        for key in ("steps", "unsure"):
            if self.told.get(key) != getattr(self, key):
                yield f"learner.json says {self.told.get(key)} {key}, the store {getattr(self, key)}"
        if self.told.get("episodes") != self.stored:
            yield f"learner.json says {self.told.get('episodes')} episodes, the store {self.stored}"


@dataclass(frozen=True)
class Census:
    """What there is at the end.

    Attributes:
        arms: By name.
        stored: Episodes in the learner's store.
        steps: Of those that count.
        transitions: Of all stored episodes.
        told: What `learner.json` says of the run: episodes, steps.
        acting: The same of the actor that was told the most.
        doubled: Ids of episodes whose pictures another episode of the store has, too, to the bit.
        replayed_twice: Ids that the replay took in more than once.
        replayed: Episodes that the replay took in.
        strangers: Stored ids that no actor was seen with.
        gone: Ids that were in the store once and are there no more.
        written_about: Rows of `metrics.jsonl` about an episode.
        damaged: Episodes whose bytes aren't as written.
        quarantined: What lies in the store's quarantine.
        unfinished: What a kill left in the store's staging folder.
    """

    arms: Mapping[str, ArmCount]
    stored: int
    steps: int
    transitions: int
    told: Mapping[str, int]
    acting: Mapping[str, int]
    doubled: tuple[str, ...]
    replayed_twice: tuple[str, ...]
    replayed: int
    strangers: tuple[str, ...]
    gone: tuple[str, ...]
    written_about: int
    damaged: int
    quarantined: int
    unfinished: int

    @property
    def lost(self) -> int:
        """Episodes that were recorded and are nowhere."""
        return sum(len(arm.lost) for arm in self.arms.values())

    def faults(self) -> list[str]:
        """What is wrong; empty where nothing is."""
        found = [f"{name}: {text}" for name, arm in self.arms.items() for text in arm.faults()]
        for what in ("doubled", "replayed_twice", "strangers", "gone"):
            if ids := getattr(self, what):
                found.append(f"{what}: {len(ids)}, {', '.join(ids[:5])}")
        for what in ("damaged", "quarantined", "unfinished"):
            if count := getattr(self, what):
                found.append(f"{what}: {count}")
        for who, told in (("learner.json", self.told), ("the actors", self.acting)):
            if told != {"episodes": self.stored, "steps": self.steps}:
                found.append(f"{who} say {dict(told)}, the store {self.stored} episodes and {self.steps} steps")
        unsure = sum(arm.unsure for arm in self.arms.values())
        if self.replayed != self.stored - unsure:
            found.append(f"the replay took in {self.replayed} of {self.stored - unsure} episodes")
        if self.written_about > self.stored:
            found.append(f"{self.written_about} rows of metrics.jsonl are about an episode, {self.stored} are stored")
        return found


def count(folder: Path, watch: Watch) -> Census:
    """Count, once every process has ended.

    Args:
        folder: Of the fine-tuning.
        watch: Closed.
    """
    status = LearnerStatus.read(folder / STATUS)
    with TrajectoryStore(folder / EPISODES, read_only=True) as store:
        damaged = len(store.verify())
        infos = store.infos()
        contents: dict[tuple[str, ...], list[str]] = {}
        for info in infos:
            contents.setdefault(_pictures(store.manifest(info.id)), []).append(info.id)
        quarantined, unfinished = len(store.quarantined()), len(store.staged())
    ids = {info.id for info in infos}
    replayed = Counter(mark[0] for mark in json.loads((folder / REPLAY / INDEX).read_text())["about"]["episodes"])
    told = {one.name: one for one in status.actors}
    actors = [one for one in map(watch.state, watch.seen) if one is not None]
    most = max(actors, key=lambda one: one.episodes)
    return Census(
        arms={name: _arm(folder, name, seen, infos, told.get(name)) for name, seen in watch.seen.items()},
        stored=len(infos),
        steps=sum(info.length for info in infos if not was_unsure(info)),
        transitions=sum(info.length for info in infos),
        told={"episodes": status.episodes, "steps": status.steps},
        acting={"episodes": most.episodes, "steps": most.steps},
        doubled=tuple(id for same in contents.values() for id in same[1:]),
        replayed_twice=tuple(id for id, times in replayed.items() if times > 1),
        replayed=sum(replayed.values()),
        strangers=tuple(sorted(ids - set().union(*watch.seen.values()))),
        gone=tuple(sorted(watch.stored - ids)),
        written_about=sum("episode/direction" in row for row in read_metrics(folder / METRICS)),
        damaged=damaged,
        quarantined=quarantined,
        unfinished=unfinished,
    )


def _arm(folder: Path, name: str, seen: set[str], infos: Sequence[EpisodeInfo], told: Any) -> ArmCount:
    mine = [info for info in infos if actor_of(info) == name]
    with TrajectoryStore(actor_folder(folder, name) / OUTBOX, read_only=True) as outbox:
        waiting = set(outbox.ids())
    known = {} if told is None else {key: getattr(told, key) for key in ("episodes", "steps", "unsure")}
    if told is not None:
        known |= {"resets": sum(told.report.resets.values()), "state": told.report.state}
    return ArmCount(
        recorded=len(seen),
        stored=len(mine),
        lost=tuple(sorted(seen - {info.id for info in mine} - waiting)),
        waiting=len(waiting),
        steps=sum(info.length for info in mine if not was_unsure(info)),
        unsure=sum(was_unsure(info) for info in mine),
        told=known,
    )


def _pictures(manifest: Manifest) -> tuple[str, ...]:
    """Their digests."""
    return tuple(f"{name} {entry.sha256}" for name, entry in sorted(manifest.files.items()) if name.startswith(_IMAGES))


def _said_in(folder: Path) -> ActorStatus | None:
    with suppress(OSError, ValueError):
        return ActorStatus.read(folder / STATUS_FILE)
    return None


def _ids(store: Path) -> set[str]:
    try:
        return {path.name for path in Layout(store).episodes.iterdir()}
    except OSError:
        return set()
