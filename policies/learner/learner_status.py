"""`LearnerStatus`: what a learner tells of itself and of every actor, also from the file that it leaves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from robot.fleet import ActorReport
from trajectories.durable import swap_file
from trajectories.errors import LinkError

AWAY_S = 20.0
"""A file that is older is that of a learner that doesn't run, s."""


@dataclass(frozen=True)
class ActorView:
    """An actor, as its learner knows it.

    Attributes:
        name: Of the arm.
        alive: Whether it was heard of late.
        heard_s: Unix time when it was heard last; 0: never since names are kept.
        report: What it told last.
        calibration: The arm's, `CalibrationMark.to_dict`; None without one.
        episodes: Of it, in the run's store.
        steps: Of it, without those of episodes about which the judge was unsure.
        unsure: How many episodes these are.
        success: Direction -> success in its training stream over its last episodes; None where there is none yet.
        behind: How many newer policies have been published than the one that it acts with.
        start: `ActorIdentity.start` of the process that had the name last.
    """

    name: str
    alive: bool = False
    heard_s: float = 0.0
    report: ActorReport = field(default_factory=ActorReport)
    calibration: Mapping[str, str] | None = None
    episodes: int = 0
    steps: int = 0
    unsure: int = 0
    success: Mapping[str, float | None] = field(default_factory=dict)
    behind: int = 0
    start: str = ""

    def figures(self) -> dict[str, float]:
        """For the metrics: `arm/<name>/...`, since `actor/...` are the losses of the network."""
        values = {f"success/{direction}": rate for direction, rate in self.success.items() if rate is not None}
        resets = sum(self.report.resets.values())
        values |= {"steps": self.steps, "episodes": self.episodes, "resets": resets, "lag": self.behind}
        return {f"arm/{self.name}/{key}": float(value) for key, value in values.items()}


@dataclass(frozen=True)
class LearnerStatus:
    """Where a run stands.

    Attributes:
        steps: Environment steps received.
        episodes: Episodes received.
        updates: Updates done.
        owed: Updates due.
        version: Newest published policy.
        success: Direction -> success in the training stream, by the judge, over its last episodes.
        total: Environment steps of the whole run.
        max_lag: Updates due from which on actors wait.
        actors: By name.
        updated_s: Unix time.
    """

    steps: int
    episodes: int
    updates: int
    owed: int
    version: int
    success: dict[str, float]
    total: int = 0
    max_lag: int = 0
    actors: tuple[ActorView, ...] = ()
    updated_s: float = 0.0

    def write(self, path: Path) -> None:
        """Replace the file in one go, with the present time.

        Raises:
            OSError: The disk refuses.
        """
        raw = asdict(replace(self, updated_s=time.time()))
        raw["success"] = {name: rate if math.isfinite(rate) else None for name, rate in self.success.items()}
        swap_file(path, json.dumps(raw, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> LearnerStatus:
        """The status in a file.

        Raises:
            OSError: There is none.
            ValueError: It is damaged.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            success = {name: math.nan if rate is None else float(rate) for name, rate in raw["success"].items()}
            actors = tuple(_actor(one) for one in raw["actors"])
            return cls(**{**raw, "success": success, "actors": actors})
        except (KeyError, TypeError, AttributeError, LinkError) as error:
            raise ValueError(f"{path} is no status of a learner ({error!r})") from error


def _actor(raw: Mapping[str, Any]) -> ActorView:
    return ActorView(**{**raw, "report": ActorReport.from_dict(raw["report"])})
