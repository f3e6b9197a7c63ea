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
from trajectories.types import Direction, Episode

logger = logging.getLogger(__name__)

State = Literal["starting", "waiting", "acting", "sending", "stopped", "finished", "failed"]
RECENT = 20
"""Episodes of a direction over which `Tally.recent_rate` is taken."""


@dataclass(frozen=True)
class Tally:
    """Success of the training stream in one direction, as the reward model judged it.

    Attributes:
        episodes: Number of episodes.
        successes: How many of them were judged a success.
        recent: The newest `RECENT` outcomes, oldest first.
    """

    episodes: int = 0
    successes: int = 0
    recent: tuple[bool, ...] = ()

    def add(self, success: bool) -> Tally:
        """Return the tally with one more episode."""
        recent = (*self.recent, success)[-RECENT:]
        return Tally(self.episodes + 1, self.successes + success, recent)

    @property
    def recent_rate(self) -> float | None:
        """Success over the newest episodes, 0 ... 1; None before the first."""
        return sum(self.recent) / len(self.recent) if self.recent else None


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
    helps: Mapping[str, int] = field(default_factory=dict)
    policy_version: int = 0
    weights_refused: int = 0
    updated_s: float = 0.0

    def judged(self, episode: Episode) -> ActorStatus:
        """Return the status with one more episode of the training stream; one of unknown outcome doesn't count."""
        if episode.outcome == "unknown":
            return self
        tally = self.training.get(episode.direction, Tally())
        success = episode.outcome == "success"
        return replace(self, training={**self.training, episode.direction: tally.add(success)})

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
            raw["training"] = {
                direction: Tally(int(t["episodes"]), int(t["successes"]), tuple(map(bool, t["recent"])))
                for direction, t in raw["training"].items()
            }
            return cls(**raw)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no status of an actor ({error!r})") from error


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
