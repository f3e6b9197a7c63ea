"""`Serving`: a gRPC server at an address, as long as a context lasts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, ClassVar, Self

import grpc

from robot.link.renewal import server_credentials
from robot.link.tls import TlsFiles
from trajectories.errors import LinkError


class Serving:
    """Listens from when it is made, and answers from `start` until `stop`.

    Attributes:
        address: "host:port", with the port that was taken.
    """

    grace_s: ClassVar[float] = 1.0
    """How long calls in progress may take to end, s."""

    def __init__(
        self,
        handler: grpc.GenericRpcHandler,
        address: str,
        tls: TlsFiles | None,
        *,
        threads: int,
        options: Sequence[tuple[str, Any]],
        advice: str,
    ) -> None:
        """Bind `address`, "host:port"; port 0 takes a free one.

        Args:
            handler: Of all calls.
            address: Checked already.
            tls: PEM files; only clients with a certificate of their authority get an answer. None: in clear.
            threads: That answer side by side.
            options: Of gRPC.
            advice: What to do where the port is taken.

        Raises:
            ConfigError: `tls` is broken.
            LinkError: The port is taken.
        """
        credentials = None if tls is None else server_credentials(tls)
        self._server = grpc.server(ThreadPoolExecutor(threads, "grpc"), options=options)
        self._server.add_generic_rpc_handlers((handler,))
        try:
            if credentials is None:
                port = int(self._server.add_insecure_port(address))
            else:
                port = int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise LinkError(f"can't listen at {address}: {advice}") from error
        self.address = f"{address.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Begin to answer; returns at once."""
        self._server.start()

    def stop(self, grace_s: float | None = None) -> None:
        """Take no new calls, let those in progress end within `grace_s` (None: the attribute), then cut them."""
        self._server.stop(self.grace_s if grace_s is None else grace_s).wait()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
