"""Repeating a call while the other side is away: with back-off, notices and an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from robot.fleet import ALIVE_S
from robot.link.errors import from_wire
from robot.link.presence import Presence
from robot.link.protocol import ERROR_KEY
from trajectories.errors import LinkError, RegraspError
from trajectories.numbers import positive

_T = TypeVar("_T")
_NOTICE_EVERY_S = 10.0
_STRANGER = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed", "WRONG_VERSION_NUMBER")
"""In gRPC's details when the server has no certificate of the authority, one for another address, or no TLS."""
_AWAY = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,  # without a typed error: the stream was reset by a dying process
}


@dataclass(frozen=True)
class Patience:
    """How long the client waits for what, in seconds.

    Attributes:
        call_s: Deadline of a short call.
        transfer_s: Deadline of an episode's upload or of a download of weights.
        away_s: How long the learner may be away (restarting) before the client gives up.
        first_back_off_s: Pause before the second attempt; it doubles from attempt to attempt.
        longest_back_off_s: Upper end of that doubling.
        name_s: How long hello is repeated while another actor has the name; longer than a killed one keeps it.
    """

    call_s: float = 15.0
    transfer_s: float = 120.0
    away_s: float = 600.0
    first_back_off_s: float = 0.1
    longest_back_off_s: float = 2.0
    name_s: float = 2 * ALIVE_S

    def __post_init__(self) -> None:
        """Refuse what would never end or never try.

        Raises:
            ConfigError: When a time is not positive.
        """
        for name, value in vars(self).items():
            positive(f"the link's {name}", value)


@dataclass(frozen=True)
class Persistence:
    """Repeats calls to the learner at `address`.

    Attributes:
        address: For messages.
        patience: Times.
        interrupt: Once set, a call is tried once and no longer repeated.
        presence: Told of every answer, and now and then of calls that fail.
        renew: Whether this machine has a new certificate, with which the next attempt is made.
        why_refused: What is wrong with a certificate, in words; None where nothing is, or nobody answers.
    """

    address: str
    patience: Patience
    interrupt: threading.Event
    presence: Presence
    renew: Callable[[], bool]
    why_refused: Callable[[], str | None]

    def until_answered(self, attempt: Callable[[], _T], doing: str) -> _T:
        """The result of the first `attempt` that reaches the learner.

        Raises:
            RegraspError: The typed error with which the learner refused.
            LinkError: When the learner stays away longer than `Patience.away_s`, `interrupt` is set, or
                something that is not a learner answers.
        """
        away_since: float | None = None
        noticed = back_off = 0.0
        why: str | None = None
        while True:
            try:
                result = attempt()
            except grpc.RpcError as error:
                refusal = typed_error(error)
                if refusal is not None:
                    self.presence.heard()
                    raise refusal from None
                status, cause = error.code(), _cause(error)
            else:
                self.presence.heard()
                return result
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            gone_s = now - away_since
            if self.renew():
                continue
            notice = noticed == 0.0 or now - noticed >= _NOTICE_EVERY_S
            if status is grpc.StatusCode.UNAVAILABLE and (notice or _is_stranger(cause)):
                why = self.why_refused() or why
            cause = f"{why}; {cause}" if why else cause
            self._give_up_if_hopeless(status, cause, gone_s, doing)
            if notice:
                noticed = now
                self.presence.failing(
                    f"{doing}: learner at {self.address} is away ({cause}); trying again, "
                    f"{gone_s:.0f} of {self.patience.away_s:.0f} s"
                )
            back_off = min(max(2 * back_off, self.patience.first_back_off_s), self.patience.longest_back_off_s)
            self.interrupt.wait(min(back_off, max(self.patience.away_s - gone_s, 0.0)))

    def _give_up_if_hopeless(self, status: grpc.StatusCode, cause: str, gone_s: float, doing: str) -> None:
        """Raise unless another attempt may help and is still wanted.

        Where the learner was there before, a stranger may be itself: its authority is being replaced, file by file,
        here or there.
        """
        over = self.interrupt.is_set() or gone_s >= self.patience.away_s
        if _is_stranger(cause) and (over or not self.presence.known):
            raise LinkError(
                f"{doing}: whoever listens at {self.address} does not know the secret of this run or has no "
                f"certificate of the same authority for that address ({cause}); it was told nothing. Start "
                "learner and actor with the same run_dir, or name certificates that fit with link.certificate, "
                "link.key and link.authority; if neither is wrong, look who listens there."
            )
        if status not in _AWAY:
            raise LinkError(
                f"{doing}: the server at {self.address} is not a learner that this actor can talk to "
                f"({cause}). Check the address and the versions on both sides."
            )
        if over:
            why = "interrupted" if self.interrupt.is_set() else f"gave up after {gone_s:.0f} s"
            raise LinkError(
                f"{doing}: the learner at {self.address} is away, {why} ({cause}). Start the learner again, "
                "then the actor; nothing that was committed is lost."
            )


def typed_error(error: grpc.RpcError) -> RegraspError | None:
    """The project's error inside a refused call, None when the call failed on the way."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY:
            return from_wire(value)
    return None


def _is_stranger(cause: str) -> bool:
    return any(sign in cause for sign in _STRANGER)


def _cause(error: grpc.RpcError) -> str:
    """Status and details of a failed call in one line."""
    details = " ".join((error.details() or "no details").split())
    return f"{error.code().name}: {details[:300]}"
