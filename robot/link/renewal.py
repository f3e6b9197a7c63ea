"""`Renewal`: certificates that are replaced on the disk are used without a new start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import grpc
from cryptography import x509

from robot.link.tls import TlsFiles, server_configuration
from trajectories.errors import ConfigError

logger = logging.getLogger(__name__)

WARNED_BEFORE = timedelta(days=30)
"""How long before a certificate's end it is spoken of."""
_AGAIN_AFTER = timedelta(days=1)

_T = TypeVar("_T")
_State = tuple[tuple[int, int, int], ...]


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
        self._end_looked_at: datetime | None = None
        self.first = load(files)
        self._say_end()

    def newer(self) -> _T | None:
        """What the files give, where others lie there than those in use, and they work."""
        with self._lock:
            try:
                state = _state_of(self._files)
                if state == self._state:
                    self._say_end()
                    return None
                loaded = self._load(self._files)
            except (OSError, ConfigError) as error:
                if not isinstance(error, OSError) and state != self._refused:
                    self._refused = state
                    self._notify(f"new TLS files don't work, those before stay in use: {error}")
                return None
            self._state, self._end_looked_at = state, None
            self._notify(f"the certificate {self._files.certificate} is new and in use for new connections")
            self._say_end()
        return loaded

    def _say_end(self) -> None:
        now = datetime.now(UTC)
        if self._end_looked_at is None or now - self._end_looked_at >= _AGAIN_AFTER:
            self._end_looked_at = now
            if (line := near_end(self._files, now)) is not None:
                self._notify(line)


def near_end(files: TlsFiles, now: datetime) -> str | None:
    """What to say of the certificate or authority that ends first, where that is within 30 days; None elsewhere.

    Args:
        files: Of this machine, which work.
        now: UTC.
    """
    try:
        ends = [
            (x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc, what, path)
            for what, path in (("certificate", files.certificate), ("authority's certificate", files.authority))
        ]
    except (OSError, ValueError):  # they are being replaced: the next look says it
        return None
    end, what, path = min(ends, key=lambda one: one[0])
    if end - now > WARNED_BEFORE:
        return None
    days = max(0, (end - now).days)
    return (
        f"the {what} {path} ends on {end:%Y-%m-%d}, in {days} day{'s' * (days != 1)}; no new connection comes about "
        "after that: make a new one with `regrasp certificates` and put it where this one lies (docs/security.md)"
    )


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
