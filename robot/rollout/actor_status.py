"""What an actor has done, as numbers for progress bars and reports, in a JSON file that survives restarts."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from robot.interfaces import Receipt
from trajectories.durable import swap_file
from trajectories.kinds import was_displaced
from trajectories.types import Direction, Episode, Outcome, RobotSpec
from trajectories.verdicts import Verdict

logger = logging.getLogger(__name__)

State = Literal["starting", "waiting", "acting", "sending", "stopped", "finished", "failed"]
RECENT = 20
"""Episodes of a direction over which `Tally.recent_rate` is taken."""
REMEMBERED = 100
"""Newest episodes whose outcome a person may still correct; `robot.rollout.persons_word` takes words about fewer."""
_SUCCESS: Mapping[Outcome, bool | None] = {"success": True, "failure": False, "unknown": None}


@dataclass(frozen=True)
class Tally:
    """Success of the training stream in one direction by the outcomes that count: a person's, else the judge's.

    Attributes:
        episodes: Number of episodes whose outcome is known.
        successes: How many of them were a success.
        recent: The newest `RECENT` outcomes, oldest first; None where the outcome isn't known.
        unsure: Number of episodes whose outcome isn't known: the judge was unsure, or gave no answer.
    """

    episodes: int = 0
    successes: int = 0
    recent: tuple[bool | None, ...] = ()
    unsure: int = 0

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Tally:
        """From plain JSON types, those of a version without `unsure` included.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        recent = tuple(None if one is None else bool(one) for one in raw["recent"])
        return cls(int(raw["episodes"]), int(raw["successes"]), recent, int(raw.get("unsure", 0)))

    def add(self, success: bool | None) -> Tally:
        """Return the tally with one more episode; None: nobody knows how it went."""
        return replace(self._count(success, 1), recent=(*self.recent, success)[-RECENT:])

    def correct(self, newer: int, before: bool | None, success: bool | None) -> Tally:
        """Return the tally with another outcome of an episode that it counts.

        Args:
            newer: Episodes of this direction since then.
            before: What it counts as by now.
            success: What it counts as from now on.
        """
        recent, place = list(self.recent), len(self.recent) - 1 - newer
        if place >= 0:
            recent[place] = success
        return replace(self._count(before, -1)._count(success, 1), recent=tuple(recent))

    @property
    def recent_rate(self) -> float | None:
        """Success over the newest episodes whose outcome is known, 0 ... 1; None where there is none."""
        known = [one for one in self.recent if one is not None]
        return sum(known) / len(known) if known else None

    def _count(self, success: bool | None, by: int) -> Tally:
        if success is None:
            return replace(self, unsure=self.unsure + by)
        return replace(self, episodes=self.episodes + by, successes=self.successes + by * success)


@dataclass(frozen=True)
class Counted:
    """An episode in a tally.

    Attributes:
        id: Of the episode.
        direction: Of the episode.
        judged: Whether its judge called it a success; None where it was unsure, or gave no answer.
        counts: The same by a person's word, where somebody spoke about it.
    """

    id: str
    direction: Direction
    judged: bool | None
    counts: bool | None


@dataclass(frozen=True)
class ActorStatus:
    """Counts of a whole run, restarts included.

    Attributes:
        run: Digests of robot specification and policy; counts of another run are not continued.
        state: What the actor is doing.
        detail: Why, where `state` alone doesn't say it.
        steps: Steps that the learner has stored in this run.
        episodes: Episodes that the learner has stored in this run.
        outbox: Episodes that wait to be sent.
        training: Direction -> success of the training stream.
        displaced: Episodes that set down elsewhere what they held.
        newest: The newest `REMEMBERED` episodes of the training stream, oldest first.
        helps: Reason -> how often the session asked for help.
        policy_version: Version of the weights in use; 0: as pre-trained.
        weights_refused: How many published versions the canary pass kept out.
        updated_s: Unix time of this status.
    """

    run: str
    state: State = "starting"
    detail: str = ""
    steps: int = 0
    episodes: int = 0
    outbox: int = 0
    training: Mapping[Direction, Tally] = field(default_factory=dict)
    displaced: int = 0
    newest: tuple[Counted, ...] = ()
    helps: Mapping[str, int] = field(default_factory=dict)
    policy_version: int = 0
    weights_refused: int = 0
    updated_s: float = 0.0

    def judged(self, episode: Episode) -> ActorStatus:
        """Return the status with one more episode of the training stream; one that `was_displaced` is in no tally."""
        if was_displaced(episode):
            return replace(self, displaced=self.displaced + 1)
        tally, success = self.training.get(episode.direction, Tally()), _SUCCESS[episode.outcome]
        newest = (*self.newest, Counted(episode.id, episode.direction, success, success))[-REMEMBERED:]
        return replace(self, newest=newest, training={**self.training, episode.direction: tally.add(success)})

    def overruled(self, verdict: Verdict) -> ActorStatus:
        """Return the status with what a person says about an episode; about one that it doesn't remember: itself."""
        place = next((i for i, one in enumerate(self.newest) if one.id == verdict.episode), None)
        if place is None:
            return self
        one, newest = self.newest[place], list(self.newest)
        counts = one.judged if verdict.outcome is None else _SUCCESS[verdict.outcome]
        newest[place] = replace(one, counts=counts)
        newer = sum(other.direction == one.direction for other in newest[place + 1 :])
        tally = self.training[one.direction].correct(newer, one.counts, counts)
        return replace(self, newest=tuple(newest), training={**self.training, one.direction: tally})

    def stored(self, receipt: Receipt) -> ActorStatus:
        """Return the status with the learner's totals."""
        return replace(self, steps=receipt.steps, episodes=receipt.episodes)

    def write(self, path: Path) -> None:
        """Replace the file in one go: a reader never sees half of it."""
        swap_file(path, json.dumps({**asdict(self), "updated_s": time.time()}, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> ActorStatus:
        """The status in a file.

        Raises:
            OSError: When there is none.
            ValueError: When it is damaged.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            raw["training"] = {direction: Tally.from_dict(tally) for direction, tally in raw["training"].items()}
            raw["newest"] = tuple(Counted(**one) for one in raw.get("newest", ()))
            return cls(**raw)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no status of an actor ({error!r})") from error


def run_of(spec: RobotSpec, policy_digest: str) -> str:
    """`ActorStatus.run` of a robot and the policy that it starts from."""
    return f"{spec.digest}:{policy_digest}"


def continued(path: Path | None, run: str, policy_version: int) -> ActorStatus:
    """The counts to go on from: those in the file when it belongs to this run, else zeros."""
    fresh = ActorStatus(run, policy_version=policy_version)
    if path is None or not path.exists():
        return fresh
    try:
        earlier = ActorStatus.read(path)
    except (OSError, ValueError) as error:
        logger.warning("%s can't be read (%s): the actor's counts start again at zero", path, error)
        return fresh
    if earlier.run != run:
        return fresh
    return replace(earlier, state="starting", detail="", policy_version=policy_version)
