"""What people on this computer see of a running session, and the few words that they may say to it.

with Console(
    console_path(run_dir),
    state=lambda: ConsoleState(task="bin_weight", joints=joint_views(state, env.limits, names), ...).to_dict(),
    frames=station.frames,
    words={"clear": clear, "ready": ready, "hold": hold, "stop": stop},  # each: name of the person -> answer
):
    session.run_episode()

A Unix socket in the run's folder, for processes of the same user only (mode 0600, and the kernel says who connects).
The learner's link is another socket with another protocol: nothing that comes over the network gets here. The socket
is bound through its open folder, so the run's folder may be as deep as it likes (`console_wire.short_address`).

The callables run in threads of the console, several at a time, and must not wait for the session: `state` and `frames`
read what the session published, a word sets an event or calls something that takes calls from any thread.
"""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from robot.console.wire import (
    MAX_NAME,
    MAX_REQUEST_BYTES,
    from_line,
    peer_of,
    receive,
    require_same_user,
    short_address,
    to_line,
)
from trajectories.errors import LinkError, RegraspError
from trajectories.types import UInt8

logger = logging.getLogger(__name__)

NEED_A_NAME = ("clear",)
"""Words with which a person takes responsibility, for the faults that are named with them."""
ABOUT_AN_EPISODE = ("done", "not_done", "take_back")
"""Words about an episode, which they may name (`robot.rollout.persons_word`)."""
_CONNECTIONS = 32
_LOOKERS = 8
"""So many requests for state or frames at a time; words always find a free thread, even when these hang."""
_PATIENCE_S = 5.0
_QUALITY = 92


class Console:
    """Answers requests from its construction until `close`.

    A client that is slow, broken or asks for nonsense is cut off after a few seconds and never holds up the session
    or another client. When a callable raises, its client gets the text and the session notices nothing.
    """

    def __init__(
        self,
        path: Path,
        state: Callable[[], Mapping[str, Any]],
        frames: Callable[[], Mapping[str, UInt8]],
        words: Mapping[str, Callable[..., str]],
    ) -> None:
        """Listen at `path`; the socket of a session that died is replaced.

        Args:
            path: Of the socket; its folder must exist.
            state: What `ConsoleState.to_dict` returns.
            frames: Camera -> newest image, uint8 (H, W, 3) RGB.
            words: Word -> what happens when a person says it. It gets the person's name (empty where the person gave
                none) and returns an answer for the person. Those of `NEED_A_NAME` always get a name, and then the ids
                of the faults that the person saw; those of `ABOUT_AN_EPISODE` get the episode that is meant, too, empty
                where the person named none. The mapping may get more words while the console listens.

        Raises:
            LinkError: When another session listens there, or the file system has no sockets.
        """
        self._path = Path(path)
        self._state, self._frames, self._words = state, frames, words
        self._closing = threading.Event()
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        self._lookers = threading.BoundedSemaphore(_LOOKERS)
        self._listener, self._inode = _listen(self._path)
        self._thread = threading.Thread(target=self._accept, name="console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests and remove the socket. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join()
        self._listener.close()
        with suppress(OSError), short_address(self._path) as (address, folder):
            fcntl.flock(folder, fcntl.LOCK_EX)
            if os.lstat(address).st_ino == self._inode:
                os.unlink(address)

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------
    def _accept(self) -> None:
        """One thread a connection, a bounded number of them."""
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._closing.is_set():  # e.g. no more file descriptors
                    logger.warning("the console could not take a connection: %s", error)
                    time.sleep(0.1)
                continue
            if not self._free.acquire(blocking=False):
                with connection, suppress(OSError):
                    connection.setblocking(False)
                    connection.sendall(_refusal("Too many clients ask at once; close some pages and try again."))
                continue
            threading.Thread(target=self._serve, args=(connection,), name="console client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """One request and its reply; a client that goes away in between is nobody's trouble."""
        try:
            with connection, suppress(OSError):
                try:
                    require_same_user(connection)
                    request = from_line(receive(connection, MAX_REQUEST_BYTES, _PATIENCE_S, whole=False))
                except LinkError as error:
                    reply = _refusal(str(error))
                else:
                    reply = self._reply(request, peer_of(connection).pid)
                connection.settimeout(_PATIENCE_S)
                connection.sendall(reply)
        finally:
            self._free.release()

    def _reply(self, request: Mapping[str, Any], pid: int) -> bytes:
        """The answer; whatever goes wrong becomes text."""
        try:
            return to_line({"reply": self._say(request, pid)}) if "say" in request else self._look(request)
        except RegraspError as error:
            return _refusal(str(error))
        except Exception as error:
            logger.warning("the session could not answer a request of its console", exc_info=error)
            return _refusal(f"The session could not answer ({type(error).__name__}: {error}).")

    def _look(self, request: Mapping[str, Any]) -> bytes:
        asked = request.get("ask")
        if asked == "words":
            return to_line({"words": sorted(self._words)})
        if asked not in ("state", "frame"):
            raise LinkError(f"Expected ask: state, frame or words, or say: a word; got {str(dict(request))[:200]}.")
        if not self._lookers.acquire(blocking=False):
            raise LinkError("The session is too busy to show itself; words are still heard.")
        try:
            if asked == "state":
                return to_line({"state": self._state()})
            image = _jpeg(self._frames(), request.get("camera"))
        finally:
            self._lookers.release()
        return to_line({"type": "image/jpeg", "bytes": len(image)}) + image

    def _say(self, request: Mapping[str, Any], pid: int) -> str:
        word, by = request["say"], request.get("by", "")
        if not isinstance(word, str) or word not in self._words:
            raise LinkError(f"This session knows the words {', '.join(sorted(self._words))}; got {str(word)[:80]!r}.")
        if not isinstance(by, str) or len(by) > MAX_NAME or not by.isprintable():
            raise LinkError(f"A name has at most {MAX_NAME} printable characters, got {str(by)[:80]!r}.")
        by = by.strip()
        if word in NEED_A_NAME and not by:
            raise LinkError(f"The word {word!r} needs the name of the person who looked at the arm.")
        logger.info("%s said %r (process %d)", by or "somebody", word, pid)
        if word in ABOUT_AN_EPISODE:
            about = request.get("about", "")
            if not isinstance(about, str):
                raise LinkError(f"The word {word!r} names an episode by its id, got {str(about)[:80]!r}.")
            return str(self._words[word](by, about))
        if word not in NEED_A_NAME:
            return str(self._words[word](by))
        faults = request.get("faults", [])
        if not isinstance(faults, list) or not faults or not all(isinstance(one, str) for one in faults):
            raise LinkError(f"The word {word!r} must name the faults that the person saw, a list of their ids.")
        return str(self._words[word](by, tuple(faults)))


def _listen(path: Path) -> tuple[socket.socket, int]:
    """A listening socket and the inode of its file."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as (address, folder):
            fcntl.flock(folder, fcntl.LOCK_EX)  # of two sessions that start at once, one finds the other
            _remove_stale(path, address)
            listener.bind(address)
            os.chmod(address, 0o600)  # nobody can connect before `listen`
            listener.listen(_CONNECTIONS)
            return listener, os.lstat(address).st_ino
    except OSError as error:
        listener.close()
        raise LinkError(
            f"A session can't listen at {path} ({error.strerror or error}). The run's folder must exist, belong to "
            "you and lie on a file system with sockets (a local disk)."
        ) from error
    except BaseException:
        listener.close()
        raise


def _remove_stale(path: Path, address: str) -> None:
    """Make way for a new socket.

    Raises:
        LinkError: When a live session, or something that isn't a socket, is in the way.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(address).st_mode):
            raise LinkError(f"{path} is in the way and is no socket: move it or take another run_dir.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            os.unlink(address)
            return
        except TimeoutError:
            owner = ""
        except OSError as error:
            if error.errno != errno.EAGAIN:  # EAGAIN: it lives, its queue is full
                raise
            owner = ""
        else:
            owner = f" (process {peer_of(probe).pid})"
    raise LinkError(f"Another session{owner} of this run listens at {path}: stop it or take another run_dir.")


def _refusal(text: str) -> bytes:
    return to_line({"error": text})


def _jpeg(frames: Mapping[str, UInt8], camera: Any) -> bytes:
    """The newest frame of a camera as JPEG.

    Raises:
        LinkError: When there is none.
    """
    if not isinstance(camera, str) or camera not in frames:
        names = ", ".join(sorted(frames)) or "none"
        raise LinkError(f"There is no frame of a camera {str(camera)[:80]!r}. Cameras with frames: {names}.")
    image = np.asarray(frames[camera])
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise LinkError(f"Camera {camera!r} gave {image.dtype} {image.shape}, expected uint8 (H, W, 3).")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()
