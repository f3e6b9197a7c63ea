"""The web page of `regrasp watch`: a small HTTP server between browsers and a session's console, or a learner's file.

    GET /?token=TOKEN   the page; it loads nothing from elsewhere
    GET /state          state, words, light and the run's learner as JSON; 200 also while no session is there
    GET /frame/CAMERA   the newest frame as JPEG
    POST /say           {"word": "clear", "by": "Anna", "faults": ["kdqx3"]}
                        {"word": "not_done", "by": "Anna", "about": "last"}

Who gets an answer is `commands.watch.page_server`'s matter.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from commands.watch.fleet import find_learner, light_of_learner, view_of
from commands.watch.http_input import RefusedError, require_text, require_texts
from commands.watch.page_server import Content, PageServer
from policies.learner.learner_status import LearnerStatus
from robot.console.client import NoSessionError, SeveralSessionsError, find_session
from robot.console.light import Light, light_of
from robot.console.state import ConsoleState
from robot.link.tls import TlsFiles
from trajectories.errors import LinkError

_NO_ANSWER = "Look at the arm and at the session's terminal."


class WatchServer(PageServer):
    """Serves the page for one session.

    Attributes:
        run_dir: Whose session is shown.
    """

    verb = "watch"

    def __init__(self, host: str, port: int, run_dir: Path, tls: TlsFiles | None = None) -> None:
        """Listen at once; `serve_forever` answers.

        Args:
            host: Address to listen at.
            port: 0 takes a free one.
            run_dir: Whose session to show; it may come and go.
            tls: See `PageServer`.

        Raises:
            ConfigError: See `PageServer`.
        """
        self.run_dir = Path(run_dir)
        super().__init__(host, port, tls)

    def look(self, path: str) -> Content:
        """State and frames."""
        if path == "/state":
            return Content.of(self.overview())
        if path.startswith("/frame/"):
            return self._frame(unquote(path.removeprefix("/frame/")))
        raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no {path[:80]}. The page is at /.")

    def hear(self, path: str, asked: dict[str, Any]) -> Content:
        """A word to the session."""
        if path != "/say":
            raise RefusedError(HTTPStatus.NOT_FOUND, "Words go to /say.")
        word, by, about = require_text(asked, "word", "by", "about")
        faults = require_texts(asked, "faults")
        return Content.of({"reply": find_session(self.run_dir).say(word, by, faults, about)})

    def overview(self) -> dict[str, Any]:
        """What `GET /state` answers."""
        seen: dict[str, Any] = {
            "run": str(self.run_dir),
            "session": None,
            "words": [],
            "learner": None,
        }
        learner, now_s = find_learner(self.run_dir), time.time()
        if learner is not None:
            seen["learner"] = view_of(learner, now_s)
        try:
            client = find_session(self.run_dir)
            raw = client.state()
            light = light_of(ConsoleState.from_dict(raw), time.time())
            return {**seen, "session": raw, "words": client.words(), "light": asdict(light)}
        except LinkError as error:
            return {**seen, "light": asdict(_light_without(error, learner, now_s))}

    def _frame(self, camera: str) -> Content:
        try:
            return Content("image/jpeg", find_session(self.run_dir).frame(camera))
        except NoSessionError:
            raise
        except LinkError as error:
            raise RefusedError(HTTPStatus.NOT_FOUND, str(error)) from error


def _light_without(error: LinkError, learner: LearnerStatus | None, now_s: float) -> Light:
    """What a page says that can't show one session, which `error` says why."""
    if learner is not None and isinstance(error, (NoSessionError, SeveralSessionsError)):
        return light_of_learner(learner, now_s)
    if isinstance(error, NoSessionError):
        return Light("grey", "NO SESSION", str(error))
    return Light("amber", "NO ANSWER", str(error), _NO_ANSWER)
