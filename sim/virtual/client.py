"""A virtual robot seen from another process: start it or attach to one, arrange its scene, make things go wrong.

with VirtualWorld.start(WorldSettings("pot_pick_place")) as world:
    WidowX.connect(world.port)                        # the drivers are those of the real devices
    world.cameras["front"].device, .stand_in          # for UvcConfig or RealSenseConfig
    world.place("forward", seed=3)
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.tasks.task import Spread
from sim.virtual.control import LONGEST_LINE
from sim.virtual.world_settings import STAND_INS, WorldSettings
from trajectories.errors import DeviceError
from trajectories.types import Direction

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 120.0
_ANSWER_S = 30.0
_END_S = 5.0
_TAIL = 800


@dataclass(frozen=True)
class WorldCamera:
    """How a driver opens a camera of a virtual world.

    Attributes:
        kind: "uvc" or "realsense".
        device: `device` or `serial` of the driver's settings.
        resolution: (height, width) that it delivers.
        fps: Frames per second.
    """

    kind: str
    device: str
    resolution: tuple[int, int]
    fps: float

    @property
    def stand_in(self) -> str:
        """`stand_in` of the driver's settings."""
        return STAND_INS[self.kind]


class VirtualWorld:
    """A connection to a running world; every method may be called from any thread.

    Attributes:
        folder: Where its port and sockets are.
        settings: What it consists of.
        port: What an arm driver opens.
        cameras: By name.
        pid: Its process.

    Raises:
        DeviceError: When no world answers.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder, self._process = folder, process
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ANSWER_S)
        self._rest = b""
        try:
            self._socket.connect(str(folder / "control"))
            hello = self._ask("hello")
        except OSError as error:
            self._socket.close()
            raise DeviceError(
                f"No virtual arm answers in {folder} ({error}). Start one with `regrasp virtual-arm`, which prints its "
                "folder."
            ) from None
        except DeviceError:
            self._socket.close()
            raise
        self.settings = WorldSettings(**hello["settings"])
        self.port, self.pid = str(hello["port"]), int(hello["pid"])
        self.cameras: Mapping[str, WorldCamera] = {
            name: WorldCamera(kind, hello["cameras"][name], self.settings.size, self.settings.fps)
            for name, kind in self.settings.cameras.items()
        }

    @classmethod
    def start(cls, settings: WorldSettings) -> VirtualWorld:
        """Start a world in a process of its own, which ends with this one; nothing restarts it.

        Raises:
            DeviceError: When it doesn't start; with what it said.
        """
        folder = Path(tempfile.mkdtemp(prefix="regrasp-"))
        process = None
        try:
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "sim.virtual.world", *settings.to_arguments(folder)],
                    cwd=_ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the parent to handle
                )
            _wait_until_ready(process, folder / "log")
            return cls(folder, process)
        except BaseException:
            if process is not None:
                _end(process)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def attach(cls, folder: Path) -> VirtualWorld:
        """Connect to a world that somebody else started and ends."""
        return cls(folder)

    # -- what a person beside the arm does and sees --------------------------------------------------
    def place(
        self,
        direction: Direction,
        seed: int | Sequence[int],
        randomise: bool | None = None,
        spread: Spread | None = None,
    ) -> int:
        """Bring the scene into a start state of `direction`; the arm isn't touched and must be out of the way.

        Args:
            direction: "forward" or "backward".
            seed: Draws the scene; the same as `Twin.reset` does with `default_rng(seed)`.
            randomise: Whether sizes, colours, light and cameras vary; None: as the world was started.
            spread: Start distribution; None: as the world was started.

        Returns:
            Monotonic ns from which on frames show the new scene at rest.

        Raises:
            DeviceError: When the gripper is among the objects or the world is gone.
        """
        numbers = seed if isinstance(seed, int) else [int(number) for number in seed]
        answer = self._ask("place", direction=direction, seed=numbers, randomise=randomise, spread=spread)
        return int(answer["t_ns"])

    def success(self, direction: Direction) -> bool:
        """Whether `direction` is done, by the physics."""
        return bool(self._ask("success", direction=direction)["success"])

    def trouble(self) -> str | None:
        """Why the robot can't go on by itself (the object fell over or left the workspace), or None."""
        return self._ask("trouble")["trouble"]

    def fault(self, what: str, **values: Any) -> str:
        """Make something go wrong (`fault_injection` lists names and values). Return what happened, in words."""
        return str(self._ask("fault", what=what, **values)["happened"])

    def state(self) -> dict[str, Any]:
        """The truth, for tests and tables: joints, tip, objects, torque, who has what open, frame rate."""
        return self._ask("state")

    # -- the end --------------------------------------------------------------------------------------
    def close(self) -> None:
        """End the world that `start` started, or just disconnect. May be called twice."""
        self._socket.close()
        if self._process is not None:
            _end(self._process)
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> VirtualWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ---------------------------------------------------------------------------------------
    def _ask(self, request: str, **values: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            DeviceError: When it is refused or doesn't come.
        """
        with self._lock:
            try:
                self._socket.sendall(json.dumps({"do": request, **values}).encode() + b"\n")
                while b"\n" not in self._rest:
                    piece = self._socket.recv(LONGEST_LINE)
                    if not piece:
                        raise ConnectionError("it ended")
                    self._rest += piece
            except OSError as error:
                self._socket.close()  # a late answer must not be taken for that to the next request
                raise DeviceError(f"The virtual arm in {self.folder} is gone: {error}. {self._last_words()}") from None
            line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if not answer.pop("ok"):
            raise DeviceError(f"The virtual arm refuses {request!r}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        return _tail(self.folder / "log") or "Start it again."


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the world said that it is up.

    Raises:
        DeviceError: When it ended or says nothing.
    """
    if process.stdout is None:
        raise ValueError("the process was started without a pipe to read from")
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    if not ready or not os.read(process.stdout.fileno(), 100):
        raise DeviceError(f"The virtual arm didn't start: {_tail(log) or f'it said nothing for {_START_S:g} s.'}")


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process by the end of its input; kill it when it doesn't."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
