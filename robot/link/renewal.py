"""`Renewal`: certificates that are replaced on the disk are used without a new start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import grpc

from robot.link.tls import TlsFiles, server_configuration
from trajectories.errors import ConfigError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_State = tuple[tuple[int, int, int], ...]


class Renewal(Generic[_T]):
    """What a load of TLS files gave, and whether others lie there by now. Any thread may call any method.

    Files that don't work together, half of them copied for instance, leave the ones before in use and are looked at
    again the next time.

    Attributes:
        first: What the files gave at the start.
    """

    def __init__(self, files: TlsFiles, load: Callable[[TlsFiles], _T], notify: Callable[[str], None]) -> None:
        """Load the files.

        Args:
            files: To watch.
            load: Of the files; raises where they don't work.
            notify: Gets a line about new files, whether they work or not.

        Raises:
            ConfigError: They don't work.
        """
        self._files, self._load, self._notify = files, load, notify
        self._lock = threading.Lock()
        self._state = _state_of(files)
        self._refused: _State | None = None
        self.first = load(files)

    def newer(self) -> _T | None:
        """What the files give, where others lie there than those in use, and they work."""
        with self._lock:
            try:
                state = _state_of(self._files)
                if state == self._state:
                    return None
                loaded = self._load(self._files)
            except (OSError, ConfigError) as error:
                if not isinstance(error, OSError) and state != self._refused:
                    self._refused = state
                    self._notify(f"new TLS files don't work, those before stay in use: {error}")
                return None
            self._state = state
        self._notify(f"the certificate {self._files.certificate} is new and in use for new connections")
        return loaded


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
