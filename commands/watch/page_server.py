"""`PageServer`: one web page of a verb, for whoever has its whole address, token included.

Every request shows the token: the page in its address, what the page asks for in the header `Authorization`. Off
loopback all of it is TLS. The host must be one of this server's names and an `Origin` must be this page's, so that
neither another web page nor a foreign name for this computer (DNS rebinding) gets anything.
"""

from __future__ import annotations

import io
import logging
import secrets
import socket
import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any

from commands.watch.connections import Connections, RequestReader, TooLargeError
from commands.watch.http_input import (
    RefusedError,
    length_of,
    require_host,
    require_no_body,
    require_origin,
    require_token,
    target_of,
)
from robot.console.client import NoSessionError
from robot.console.wire import MAX_REQUEST_BYTES, from_line, to_line
from robot.link.certificates import names_of
from robot.link.tls import TlsFiles, is_loopback, server_context
from trajectories.errors import ConfigError, LinkError

logger = logging.getLogger(__name__)

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
_TOKEN_BYTES = 18
_CONNECTIONS = 64
_HEAD_BYTES = 32 << 10
_REQUEST_S = 10.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class Content:
    """What a request gets.

    Attributes:
        kind: MIME type.
        body: Bytes.
    """

    kind: str
    body: bytes

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Content:
        """JSON."""
        return cls("application/json", to_line(values))


class PageServer(ThreadingHTTPServer):
    """Serves a page, and what it asks for.

    Attributes:
        verb: Whose page it is: its settings `host` and `port` are in the group of that name.
        url: Where the page is, with the token.
        token: What every request must show; drawn anew at each start.
        names: Under which browsers may call this server.
        connections: Those that are open.
        page: The HTML.
    """

    verb: str
    daemon_threads = True
    request_queue_size = _CONNECTIONS

    def __init__(self, host: str, port: int, tls: TlsFiles | None = None) -> None:
        """Listen at once; `serve_forever` answers.

        Args:
            host: Address to listen at.
            port: 0 takes a free one.
            tls: Certificate and key of this machine, needed off loopback, not used on loopback.

        Raises:
            ConfigError: When nothing can listen there, or off loopback and `tls` is missing or broken.
        """
        bare = f"[{host}]" if ":" in host else host
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.connections = Connections(_CONNECTIONS)
        if is_loopback(f"{bare}:{port}"):
            self._context, self.names, shown = None, set(_LOCAL_NAMES), bare
        elif tls is None:
            raise ConfigError(
                f"{self.verb}.host={host} can be reached from other machines, so the page needs a certificate: make "
                "one with `regrasp certificates` and name its files with link.certificate, link.key and link.authority "
                f"(docs/security.md). Or keep {self.verb}.host=127.0.0.1 and open a tunnel to it (ssh -L)."
            )
        else:
            self._context = server_context(tls.certificate, tls.key)
            valid = names_of(tls.certificate)
            self.names = {*valid, *({host.lower()} - set(_EVERYWHERE))}
            if not self.names:
                raise ConfigError(f"{tls.certificate} names no host, so no browser would accept it: make another one.")
            shown = next(iter(valid), host) if host in _EVERYWHERE else bare
        self.page = (files("commands") / "templates" / f"{self.verb}.html").read_text(encoding="utf-8")
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"The page can't be served at {bare}:{port} ({error.strerror or error}). Does another "
                f"`regrasp {self.verb}` run? Take another {self.verb}.port, or {self.verb}.host=127.0.0.1."
            ) from error
        self.url = f"{self.scheme}://{shown}:{self.server_address[1]}/?token={self.token}"

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "http" if self._context is None else "https"

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of this computer's name, which may ask the network."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, if there is room."""
        if not self.connections.enter(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self.connections.leave(request)
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Talk to a browser; runs in the connection's thread."""
        if self._context is None:
            self._converse(request, client_address)
            return
        try:
            wrapped = self._context.wrap_socket(request, True, do_handshake_on_connect=False)
        except BaseException:
            self.connections.leave(request)
            raise
        self.connections.replace(request, wrapped)
        try:
            self._converse(wrapped, client_address)
        finally:
            self.shutdown_request(wrapped)

    def _converse(self, connection: socket.socket, client_address: Any) -> None:
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.settimeout(_REQUEST_S)
                connection.do_handshake()
            _Handler(connection, client_address, self)
        finally:
            self.connections.leave(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what is not the other end's doing."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # the browser went away, or speaks no TLS
            logger.warning("a request of the page failed", exc_info=error)

    @abstractmethod
    def look(self, path: str) -> Content:
        """What a GET of a path gets, the page's own aside; called from any thread.

        Raises:
            RefusedError: There is nothing at this path.
            LinkError: It can't be had now.
        """

    @abstractmethod
    def hear(self, path: str, asked: dict[str, Any]) -> Content:
        """What a POST of JSON to a path gets; called from any thread.

        Raises:
            RefusedError: Nothing listens at this path, or what was sent is malformed.
            LinkError: It is refused; the text goes to the person.
        """


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    protocol_version = "HTTP/1.1"
    server: PageServer
    disable_nagle_algorithm = True  # header and body are two packets; the second must not wait for an answer

    def setup(self) -> None:
        """Read through a `RequestReader`."""
        super().setup()
        self._reader = RequestReader(self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Read and answer a request; one that is too large is refused."""
        self._reader.allow(_HEAD_BYTES + MAX_REQUEST_BYTES, _REQUEST_S)
        try:
            super().handle_one_request()
        except TooLargeError:
            self.requestline, self.request_version, self.command = "", self.protocol_version, ""
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A request has at most {_HEAD_BYTES} bytes.")

    def do_GET(self) -> None:
        """The page, and what it looks at."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """What the page says."""
        self._answer(self._post)

    def version_string(self) -> str:
        """Of the header `Server`."""
        return "Regrasp"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal for what matters."""

    # -- inside -------------------------------------------------------------------------------------
    def _answer(self, handle: Callable[[str], None]) -> None:
        """Answer somebody who may ask; `handle` gets the path."""
        try:
            target = target_of(self.path)
            host = require_host(self.headers, self.server.names, self.server.url.partition("?")[0])
            require_origin(self.headers, f"{self.server.scheme}://{host}", needed=self.command == "POST")
            require_token(self.headers, target.query if target.path == "/" else "", self.server.token)
            self.server.connections.admit(self.connection)
            handle(target.path)
        except RefusedError as error:
            self._refuse(error.status, error.text)
        except NoSessionError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except LinkError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))

    def _get(self, path: str) -> None:
        require_no_body(self.headers)
        if path == "/":
            self._page()
        else:
            self._content(self.server.look(path))

    def _post(self, path: str) -> None:
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Words are JSON.")
        body = self.rfile.read(length_of(self.headers, MAX_REQUEST_BYTES))
        try:
            asked = from_line(body)
        except LinkError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        self._content(self.server.hear(path, asked))

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(12)
        policy = (
            f"default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; style-src 'nonce-{nonce}'; "
            f"script-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        page = self.server.page.replace("{{nonce}}", nonce).encode()
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, {"Content-Security-Policy": policy})

    def _content(self, content: Content) -> None:
        self._send(HTTPStatus.OK, content.kind, content.body)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True  # an unread body must not be taken for the next request
        refusal = Content.of({"error": text})
        self._send(status, refusal.kind, refusal.body)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.connection.settimeout(_REQUEST_S)
        try:
            self.send_response(status)
            for name, value in {**_HEADERS, **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the browser went away
            self.close_connection = True
