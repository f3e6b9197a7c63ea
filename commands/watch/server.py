"""The web page of `regrasp watch`: a small HTTP server between browsers and a session's console.

    GET /               the page; it loads nothing from elsewhere
    GET /state          state, words and light as JSON; 200 also while no session is there
    GET /frame/CAMERA   the newest frame as JPEG
    POST /say           {"word": "clear", "by": "Anna", "token": "", "faults": ["kdqx3"]}

Other web pages in the same browser must not press the buttons: a POST must be JSON, come from this page (`Origin`
equals `Host`) and, off loopback, carry the token. On loopback the host must be named as such, so that a foreign name
that suddenly points to 127.0.0.1 (DNS rebinding) gets nothing.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from socket import AF_INET6
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from robot.console.client import NoSessionError, find_session
from robot.console.light import light_of
from robot.console.state import ConsoleState
from robot.console.wire import MAX_REQUEST_BYTES, from_line, to_line
from robot.link.tls import is_loopback
from trajectories.errors import ConfigError, LinkError

SHORTEST_TOKEN = 8
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_IDLE_S = 30
_WRONG_TOKEN_S = 0.5
_NO_ANSWER = "Look at the arm and at the session's terminal."
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class WatchServer(ThreadingHTTPServer):
    """Serves the page for one session.

    Attributes:
        url: Where the page is.
        run_dir: Whose session is shown.
        token: What a POST must carry off loopback; None on loopback.
        local: Whether only this computer can reach the page.
        page: The HTML.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, run_dir: Path, token: str | None = None) -> None:
        """Listen at once; `serve_forever` answers.

        Args:
            host: Address to listen at.
            port: 0 takes a free one.
            run_dir: Whose session to show; it may come and go.
            token: Off loopback: what the buttons need; None draws one.

        Raises:
            ConfigError: When nothing can listen there or the token is too short.
        """
        if ":" in host:
            self.address_family = AF_INET6
        bare = f"[{host}]" if ":" in host else host
        self.run_dir, self.local = Path(run_dir), is_loopback(f"{bare}:{port}")
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ConfigError(f"watch.token needs at least {SHORTEST_TOKEN} characters; null draws a good one.")
        self.token = None if self.local else (token or secrets.token_urlsafe(9))
        self.page = (files("commands") / "templates" / "watch.html").read_text()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"The page can't be served at {bare}:{port} ({error.strerror or error}). Does another `regrasp watch` "
                "run? Take another watch.port, or watch.host=127.0.0.1."
            ) from error
        self.url = f"http://{bare}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of this computer's name, which may ask the network."""
        TCPServer.server_bind(self)

    def overview(self) -> dict[str, Any]:
        """What `GET /state` answers."""
        seen: dict[str, Any] = {
            "run": str(self.run_dir),
            "needs_token": self.token is not None,
            "session": None,
            "words": [],
        }
        try:
            client = find_session(self.run_dir)
            raw = client.state()
            light = asdict(light_of(ConsoleState.from_dict(raw), time.time()))
            return {**seen, "session": raw, "words": client.words(), "light": light}
        except NoSessionError as error:
            light = {"level": "grey", "title": "NO SESSION", "text": str(error), "advice": "", "word": ""}
        except LinkError as error:
            light = {"level": "amber", "title": "NO ANSWER", "text": str(error), "advice": _NO_ANSWER, "word": ""}
        return {**seen, "light": light}


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    protocol_version = "HTTP/1.1"
    server: WatchServer
    timeout = _IDLE_S
    disable_nagle_algorithm = True  # header and body are two packets; the second must not wait for an answer

    def do_GET(self) -> None:
        """Page, state and frames."""
        path = urlsplit(self.path).path
        if not self._named_rightly():
            return
        if path == "/":
            self._page()
        elif path == "/state":
            self._json(HTTPStatus.OK, self.server.overview())
        elif path.startswith("/frame/"):
            self._frame(unquote(path.removeprefix("/frame/")))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"There is no {path}. The page is at /.")

    def do_POST(self) -> None:
        """A word to the session."""
        if not self._named_rightly():
            return
        if urlsplit(self.path).path != "/say":
            self._refuse(HTTPStatus.NOT_FOUND, "Words go to /say.")
        elif self.headers.get_content_type() != "application/json" or not self._from_this_page():
            self._refuse(HTTPStatus.FORBIDDEN, "Words are only taken from this page. Elsewhere use `regrasp say`.")
        else:
            self._say()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal for what matters."""

    # -- who asks -----------------------------------------------------------------------------------
    def _named_rightly(self) -> bool:
        """On loopback, whether the browser called this computer by a local name; refuses otherwise."""
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if not self.server.local or name in _LOCAL_NAMES:
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"This page is at {self.server.url}, not at {name!r}.")
        return False

    def _from_this_page(self) -> bool:
        origin, host = self.headers.get("Origin"), self.headers.get("Host")
        return bool(origin and host) and urlsplit(origin).netloc == host

    def _token_fits(self, given: str) -> bool:
        token = self.server.token
        return token is None or hmac.compare_digest(given.encode(), token.encode())

    # -- answers ------------------------------------------------------------------------------------
    def _page(self) -> None:
        nonce = secrets.token_urlsafe(12)
        policy = (
            f"default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; style-src 'nonce-{nonce}'; "
            f"script-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        page = self.server.page.replace("{{nonce}}", nonce).encode()
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, {"Content-Security-Policy": policy})

    def _frame(self, camera: str) -> None:
        try:
            self._send(HTTPStatus.OK, "image/jpeg", find_session(self.server.run_dir).frame(camera))
        except NoSessionError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except LinkError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))

    def _say(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A word has at most {MAX_REQUEST_BYTES} bytes.")
            return
        try:
            asked = from_line(self.rfile.read(int(length)))
        except LinkError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        word, by, token = (asked.get(name, "") for name in ("word", "by", "token"))
        faults = asked.get("faults", [])
        texts = (word, by, token, *faults) if isinstance(faults, list) else (None,)
        if not all(isinstance(text, str) for text in texts):
            self._refuse(
                HTTPStatus.BAD_REQUEST, 'Expected {"word": "...", "by": "...", "token": "...", "faults": ["..."]}.'
            )
        elif not self._token_fits(token):
            time.sleep(_WRONG_TOKEN_S)
            self._refuse(HTTPStatus.UNAUTHORIZED, "Wrong token: it stands in the terminal of `regrasp watch`.")
        else:
            self._pass_on(word, by, faults)

    def _pass_on(self, word: str, by: str, faults: list[str]) -> None:
        """Say a word to the session."""
        try:
            self._json(HTTPStatus.OK, {"reply": find_session(self.server.run_dir).say(word, by, faults)})
        except NoSessionError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except LinkError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))

    def _json(self, status: HTTPStatus, values: dict[str, Any]) -> None:
        self._send(status, "application/json", to_line(values))

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True  # an unread body must not be taken for the next request
        self._json(status, {"error": text})

    def _send(self, status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
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
