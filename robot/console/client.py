"""Connect to a session's console, for the web page, the terminal and tests."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from robot.console.wire import (
    CONSOLE_FILE,
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    console_path,
    from_line,
    receive,
    require_same_user,
    short_address,
    to_line,
)
from trajectories.errors import LinkError

_LOOK_S = 5.0
_SAY_S = 30.0  # clearing a fault restarts servos


class NoSessionError(LinkError):
    """No session listens there (yet)."""


class SeveralSessionsError(LinkError):
    """Several sessions of a run listen on this computer; the message names their folders."""


def find_session(run_dir: Path) -> ConsoleClient:
    """The session of a run, which listens in its folder, in one in it (`finetune_...`), or in an actor's in that.

    Raises:
        NoSessionError: When there is none.
        SeveralSessionsError: When there are several.
    """
    run_dir = Path(run_dir)
    clients = [ConsoleClient(p) for p in (console_path(run_dir), *_below(run_dir))]
    if len(clients) == 1 or clients[0].listens():
        return clients[0]
    found = [client for client in clients[1:] if client.listens()]
    if len(found) > 1:
        folders = ", ".join(f"run_dir={client.path.parent}" for client in found)
        raise SeveralSessionsError(f"Several sessions of {run_dir} run on this computer; name one of them: {folders}.")
    return found[0] if found else clients[0]


def _below(run_dir: Path) -> list[Path]:
    return sorted(path for pattern in ("*", "*/actor_*") for path in run_dir.glob(f"{pattern}/{CONSOLE_FILE}"))


class ConsoleClient:
    """Asks the session that listens at `path`. Every call connects anew, so a restarted session is found by itself.

    Every method raises `NoSessionError` while no session is there, and `LinkError` when the session refuses, with the
    session's text, or doesn't answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def state(self) -> dict[str, Any]:
        """The session's state, for `ConsoleState.from_dict`."""
        state = self._ask({"ask": "state"}, _LOOK_S)[0].get("state")
        if not isinstance(state, dict):
            raise LinkError("The session answered without a state.")
        return state

    def words(self) -> tuple[str, ...]:
        """The words that the session knows."""
        return tuple(map(str, self._ask({"ask": "words"}, _LOOK_S)[0].get("words", ())))

    def frame(self, camera: str) -> bytes:
        """The newest frame of a camera, JPEG."""
        header, image = self._ask({"ask": "frame", "camera": camera}, _LOOK_S)
        if len(image) != header.get("bytes"):
            raise LinkError(f"The session's frame broke off after {len(image)} bytes of {header.get('bytes')}.")
        return image

    def say(self, word: str, by: str = "", faults: Sequence[str] = (), about: str = "") -> str:
        """Say a word to the session.

        Args:
            word: One of `words`.
            by: Name of the person; needed to clear a fault and to speak about an episode.
            faults: To clear: ids of the faults that the person saw.
            about: Words about an episode: its id, "last" or "running"; empty for the one that is meant by the rule in
                `robot.rollout.persons_word`.

        Returns:
            The session's answer, for the person.
        """
        request = {"say": word, "by": by, "faults": list(faults), "about": about}
        return str(self._ask(request, _SAY_S)[0].get("reply", ""))

    def listens(self) -> bool:
        """Whether a session of this user is there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_LOOK_S)
            try:
                self._connect(connection)
                require_same_user(connection)
            except LinkError:
                return False
        return True

    def _ask(self, request: dict[str, Any], patience_s: float) -> tuple[dict[str, Any], bytes]:
        """The reply's JSON and the bytes after it."""
        message = to_line(request)
        if len(message) > MAX_REQUEST_BYTES:
            raise LinkError(f"A request has at most {MAX_REQUEST_BYTES} bytes, this one has {len(message)}.")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience_s)
            self._connect(connection)
            require_same_user(connection)
            try:
                with suppress(BrokenPipeError):  # refused before it was asked; the reply says why
                    connection.sendall(message)
                reply = receive(connection, MAX_REPLY_BYTES, patience_s, whole=True)
            except OSError as error:
                raise LinkError(f"The session broke off the conversation ({error}).") from error
        line, _, rest = reply.partition(b"\n")
        if not line:
            raise NoSessionError(f"The session at {self.path} ended while it was asked.")
        values = from_line(line)
        if "error" in values:
            raise LinkError(str(values["error"]))
        return values, rest

    def _connect(self, connection: socket.socket) -> None:
        try:
            with short_address(self.path) as (address, _):
                connection.connect(address)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NoSessionError(
                f"No session of {self.path.parent} runs on this computer. Start one (actor, finetune, teleop or "
                "evaluate) with the same run_dir, or give the run_dir of one that runs."
            ) from error
        except PermissionError as error:
            raise LinkError(f"{self.path} belongs to another user: run this as the user of the session.") from error
        except OSError as error:
            raise LinkError(f"The session at {self.path} takes no connection ({error.strerror or error}).") from error
