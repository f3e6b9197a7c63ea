"""The web page of `regrasp review`.

    GET /?token=TOKEN           the page; it loads nothing from elsewhere
    GET /episodes               all judged episodes, those first that a person should look at first, as JSON
    GET /frame/ID/CAMERA/INDEX  a frame of one as JPEG
    POST /verdict               {"episode": ID, "word": "done", "by": "Anna"}; or not_done, taken_back

Who gets an answer is `commands.watch.page_server`'s matter.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

from commands.review.episodes import ReviewedStore
from commands.watch.http_input import RefusedError, require_text
from commands.watch.page_server import Content, PageServer
from robot.link.tls import TlsFiles
from trajectories.errors import InvalidEpisodeError, LinkError, StoreError
from trajectories.verdicts import Word


class ReviewServer(PageServer):
    """Serves the episodes of one store.

    Attributes:
        reviewed: It.
    """

    verb = "review"

    def __init__(self, host: str, port: int, reviewed: ReviewedStore, tls: TlsFiles | None = None) -> None:
        """Listen at once; `serve_forever` answers.

        Args:
            host: Address to listen at.
            port: 0 takes a free one.
            reviewed: The episodes.
            tls: See `PageServer`.

        Raises:
            ConfigError: See `PageServer`.
        """
        self.reviewed = reviewed
        super().__init__(host, port, tls)

    def look(self, path: str) -> Content:
        """The episodes, or a frame of one."""
        if path == "/episodes":
            try:
                self.reviewed.refresh()
            except StoreError as error:
                raise LinkError(str(error)) from error
            return Content.of(self.reviewed.overview())
        parts = [unquote(part) for part in path.split("/")[1:]]
        if len(parts) == 4 and parts[0] == "frame" and parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 7:
            try:
                return Content("image/jpeg", self.reviewed.frame(parts[1], parts[2], int(parts[3])))
            except LinkError as error:
                raise RefusedError(HTTPStatus.NOT_FOUND, str(error)) from error
        raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no {path[:80]}. The page is at /.")

    def hear(self, path: str, asked: dict[str, Any]) -> Content:
        """A verdict."""
        if path != "/verdict":
            raise RefusedError(HTTPStatus.NOT_FOUND, "Verdicts go to /verdict.")
        episode, word, by = require_text(asked, "episode", "word", "by")
        try:
            verdict = self.reviewed.say(episode, cast(Word, word), by.strip())
        except (InvalidEpisodeError, StoreError) as error:
            raise LinkError(str(error)) from error
        return Content.of({"kept": verdict.to_dict()})
