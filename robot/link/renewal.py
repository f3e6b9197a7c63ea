"""`Renewal`: certificates that are replaced on the disk are used without a new start."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import grpc
from cryptography import x509

from robot.link.tls import TlsFiles, server_configuration
from trajectories.errors import ConfigError

logger = logging.getLogger(__name__)

WARNED_BEFORE = timedelta(days=30)
"""How long before a certificate's end it is spoken of."""
_AGAIN_AFTER_S = 86_400.0

_T = TypeVar("_T")
_State = tuple[tuple[int, int, int], ...]


class End(NamedTuple):
    """When what of which file ends, UTC."""

    at: datetime
    what: str
    path: Path


class Renewal(Generic[_T]):
    """What a load of TLS files gave, and whether others lie there by now. Any thread may call any method.

    Files that don't work together, half of them copied for instance, leave the ones before in use and are looked at
    again the next time. That one of them ends within 30 days is said at the start and, as they are asked for, once a
    day.

    Attributes:
        first: What the files gave at the start.
    """

    def __init__(self, files: TlsFiles, load: Callable[[TlsFiles], _T], notify: Callable[[str], None]) -> None:
        """Load the files.

        Args:
            files: To watch.
            load: Of the files; raises where they don't work.
            notify: Gets a line about new files, whether they work or not, and about an end that is near.

        Raises:
            ConfigError: They don't work.
        """
        self._files, self._load, self._notify = files, load, notify
        self._lock = threading.Lock()
        self._state = _state_of(files)
        self._refused: _State | None = None
        self._end_said_s: float | None = None
        self.first, self._ends = load(files), _ends_of(files)
        for line in self._near_end():
            notify(line)

    def newer(self) -> _T | None:
        """What the files give, where others lie there than those in use, and they work."""
        lines: list[str] = []
        with self._lock:
            loaded = self._look(lines)
            lines += self._near_end()
        with suppress(OSError):  # of a terminal that is gone; what was loaded counts
            for line in lines:
                self._notify(line)
        return loaded

    def _look(self, lines: list[str]) -> _T | None:
        try:
            state = _state_of(self._files)
            if state == self._state:
                return None
            loaded, ends = self._load(self._files), _ends_of(self._files)
        except (OSError, ConfigError) as error:
            if not isinstance(error, OSError) and state != self._refused:
                self._refused = state
                lines.append(f"new TLS files don't work, those before stay in use: {error}")
            return None
        self._state, self._ends, self._end_said_s = state, ends, None
        lines.append(f"the certificate {self._files.certificate} is new and in use for new connections")
        return loaded

    def _near_end(self) -> list[str]:
        """What is to be said of the end of the files in use: nothing, or a line; once a day."""
        now_s = time.monotonic()
        if self._end_said_s is not None and now_s - self._end_said_s < _AGAIN_AFTER_S:
            return []
        self._end_said_s = now_s
        line = near_end(self._ends, datetime.now(UTC))
        return [] if line is None else [line]


def near_end(ends: Sequence[End], now: datetime) -> str | None:
    """What to say of what ends first, where that is within 30 days or past; None elsewhere.

    Args:
        ends: Of the files in use.
        now: UTC.
    """
    first = min(ends, key=lambda one: one.at, default=None)
    if first is None or first.at - now > WARNED_BEFORE:
        return None
    days = (first.at - now).days
    when = (
        f"ends on {first.at:%Y-%m-%d}, in {days} day{'s' * (days != 1)}"
        if days >= 0
        else f"ended on {first.at:%Y-%m-%d}"
    )
    return (
        f"the {first.what} {first.path} {when}; no new connection comes about after that: make a new one with "
        "`regrasp certificates` and put it where this one lies (docs/security.md)"
    )


def _ends_of(files: TlsFiles) -> tuple[End, ...]:
    """When certificate and authority end: of a chain the first to end, of several authorities the last.

    What can't be read, since it is just being replaced, or only by OpenSSL, has no end that is known.
    """
    found = []
    with suppress(OSError, ValueError, x509.InvalidVersion):
        chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
        found.append(End(min(one.not_valid_after_utc for one in chain), "certificate", files.certificate))
    with suppress(OSError, ValueError, x509.InvalidVersion):
        several = x509.load_pem_x509_certificates(files.authority.read_bytes())
        found.append(End(max(one.not_valid_after_utc for one in several), "authority's certificate", files.authority))
    return tuple(found)


def server_credentials(files: TlsFiles, notify: Callable[[str], None] = logger.warning) -> grpc.ServerCredentials:
    """Credentials of a server that only lets in clients with a certificate of the authority.

    The files are looked at for each connection: what was renewed is shown from the next one on.

    Raises:
        ConfigError: When the files don't work.
    """
    renewal = Renewal(files, server_configuration, notify)
    return grpc.dynamic_ssl_server_credentials(renewal.first, renewal.newer, require_client_authentication=True)


def _state_of(files: TlsFiles) -> _State:
    """What changes when one of the files is replaced."""
    found = [path.stat() for path in (files.certificate, files.key, files.authority) if path.exists()]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)
