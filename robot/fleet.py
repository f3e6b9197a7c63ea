"""Several arms, one learner: how an actor is called, what it is, and what it tells of itself while it acts."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from robot.interfaces import LearnerEndpoint, Receipt
from trajectories.errors import ConfigError, LinkError
from trajectories.types import RobotSpec

MOST_NAME = 40
"""Characters of a name at most."""
REPORT_EVERY_S = 0.5
"""How often an actor tells its learner of itself, s."""
AWAY_S = 2.0
"""Who has said nothing for so long is said to be away, s: an actor by its learner, a learner by its actors."""
ALIVE_S = 5.0
"""When an actor has said nothing for so long somebody else may have its name, s."""
ENDED = ("stopped", "finished", "failed")
"""States after which an actor says nothing more."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MOST_NAME - 1}}}")
AUTO_NAME = "auto"
"""The setting that names an actor after its computer."""


def host_name() -> str:
    """This computer's name without its domain, as an actor may be called."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0]).strip("-_")[:MOST_NAME] or "actor"


def actor_name(setting: str) -> str:
    """The name that the setting `actor.name` means: itself, or for "auto" that of this computer.

    Raises:
        ConfigError: It can't be a name.
    """
    if setting == AUTO_NAME:
        return host_name()
    if not _NAME.fullmatch(setting):
        raise ConfigError(
            f"actor.name={setting!r} can't name an actor: folders and curves are called so. Expected letters, digits, "
            f"'_', '-' and '.', a letter or digit first, {MOST_NAME} at most, like actor.name=left."
        )
    return setting


@dataclass(frozen=True)
class ActorIdentity:
    """Who says hello to a learner.

    Attributes:
        name: Of the arm, for people; two that live have two names.
        start: Drawn anew by each process, so that one which says hello again isn't taken for a second arm.
        calibration: The arm's, `CalibrationMark.to_dict`; None without one. It may be any: where joints and cameras
            are is each arm's own matter.
        parts: What its policy is made of, part -> digest or word, in the order in which differences are looked for.
    """

    name: str = field(default_factory=host_name)
    start: str = field(default_factory=lambda: uuid.uuid4().hex)
    calibration: Mapping[str, str] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ActorIdentity:
        """Inverse of `to_dict`.

        Raises:
            LinkError: It is none.
        """
        try:
            name, calibration = str(raw["name"]), raw["calibration"]
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is no name")
            mark = None if calibration is None else _texts(calibration)
            return cls(name, str(raw["start"])[:MOST_NAME], mark, _texts(raw["parts"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LinkError(f"refused a hello: it doesn't say who the actor is ({error!r})") from error


@dataclass(frozen=True)
class ActorReport:
    """What an actor tells now and then.

    Attributes:
        state: What it does, see `robot.rollout.actor_status.State`; "holds" while a hold or a fault stands, "asks"
            while it waits for a person.
        detail: Why, for people; may be empty.
        policy_version: Of the weights in use; 0: as pre-trained.
        weights_refused: How many published versions its canary pass kept out.
        outbox: Episodes that wait to be sent.
        resets: Reason -> how often it asked for help: a reset of the scene, mostly.
    """

    state: str = "starting"
    detail: str = ""
    policy_version: int = 0
    weights_refused: int = 0
    outbox: int = 0
    resets: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ActorReport:
        """Inverse of `to_dict`.

        Raises:
            LinkError: It is none.
        """
        try:
            return cls(
                str(raw["state"])[:40],
                str(raw["detail"])[:400],
                int(raw["policy_version"]),
                int(raw["weights_refused"]),
                int(raw["outbox"]),
                {str(reason)[:80]: int(count) for reason, count in raw["resets"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LinkError(f"refused what an actor tells of itself ({error!r})") from error


class FleetEndpoint(LearnerEndpoint, Protocol):
    """What a learner offers to several actors: a `LearnerEndpoint` that is told which of them asks."""

    def hello(self, spec: RobotSpec, policy_digest: str, actor: ActorIdentity | None = None) -> int:
        """See `LearnerEndpoint.hello`; of an actor in the same process nobody need say who it is.

        Raises:
            SpecMismatchError, CheckpointError: It doesn't belong here; by name, with the first difference.
            NameTakenError: Another actor of this name was heard less than `ALIVE_S` ago.
        """
        ...

    def report(self, actor: str, report: ActorReport) -> None:
        """Take in what an actor tells of itself, every `REPORT_EVERY_S` as long as it lives."""
        ...

    def heard(self, actor: str) -> None:
        """An actor lives: a call of it came, or a piece of an episode, behind which its reports may be late."""
        ...

    def may_act(self, timeout_s: float, actor: str = "") -> bool:
        """See `LearnerEndpoint.may_act`; no actor waits longer than the others because it asks at the wrong moment."""
        ...

    def finished(self, actor: str = "") -> Receipt | None:
        """See `LearnerEndpoint.finished`."""
        ...


def _texts(raw: Mapping[str, Any]) -> dict[str, str]:
    return {str(name)[:80]: str(text)[:200] for name, text in raw.items()}
