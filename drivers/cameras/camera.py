"""`ProcessCamera`: a camera of the real robot behind `robot.interfaces.Camera`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from drivers.cameras.config import CameraConfig
from drivers.cameras.ring import FrameRing, RingFrame, Stamp
from drivers.cameras.watchdog import State, Watchdog, is_frozen
from drivers.errors import CameraError
from robot.interfaces import Frame
from trajectories.errors import ConfigError, MissingDependencyError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import UInt16

ANY_AGE_NS = 10**12
"""An age that no frame has: for whoever wants the newest one, however old."""
_POLL_S = 0.01
_MM_NM = 1_000_000
_ADVICE = {
    State.STARTING: "It is being opened; wait a moment.",
    State.STREAMING: "It streams slower than that: raise the limit or the camera's frame rate.",
    State.STALE: "It stopped sending; it is restarted by itself. Check its cable.",
    State.FROZEN: "It keeps sending the same image, which counts as none; it is restarted by itself.",
    State.LOST: "It is opened again by itself, less and less often. Check its cable and power.",
}
_GAVE_UP = "It is not opened again, since that would fail the same way: correct this and start anew."


@dataclass(frozen=True)
class DepthFrame:
    """A depth image.

    Attributes:
        depth: uint16 (H, W) in units of `unit_m`, 0 where nothing was measured; seen from the depth sensor.
        unit_m: Length of one unit, m.
        t_ns: Monotonic ns of the exposure, as of the colour image of the same set.
    """

    depth: UInt16
    unit_m: float
    t_ns: int


def in_millimetres(depth: UInt16, unit_nm: int) -> UInt16:
    """Depth in mm, rounded; 0, as where nothing was measured, for what is further away than uint16 holds.

    Args:
        depth: uint16 (H, W) in the device's unit.
        unit_nm: Length of that unit, nm.

    Raises:
        CameraError: When the device doesn't tell its unit.
    """
    if unit_nm <= 0:
        raise CameraError("The camera sends depth without its unit, so that it can't be recorded in millimetres.")
    if unit_nm == _MM_NM:
        return depth
    millimetres = np.rint(depth.astype(np.float64) * (unit_nm / _MM_NM))
    return np.where(millimetres <= np.iinfo(np.uint16).max, millimetres, 0.0).astype(np.uint16)


@dataclass(frozen=True)
class CameraStatus:
    """How a camera is doing, for people.

    Attributes:
        name: The camera's name.
        device: Path or serial number.
        state: Its state.
        fps: Frames per second over the last few frames; 0 unless streaming.
        age_ms: Age of the newest frame, None before the first.
        frames: Frames received in all.
        dropped: Frames that the device numbered and that never arrived.
        reconnects: Times that its process was started anew.
        exposure_us: Of the newest frame, None when the device doesn't tell.
        pid: Its process, None while there is none.
        last_error: Why its last process ended, None if none did.
    """

    name: str
    device: str
    state: State
    fps: float
    age_ms: float | None
    frames: int
    dropped: int
    reconnects: int
    exposure_us: int | None
    pid: int | None
    last_error: str | None


class ProcessCamera:
    """A camera in its own process. Opening goes on in the background; `wait` until it streams.

    `latest` copies the newest frame out of shared memory and never waits for the device. It may be called from any
    thread.
    """

    def __init__(self, config: CameraConfig) -> None:
        self.config = config
        self._ring = FrameRing.create(config.size, config.source.depth)
        self._watchdog = Watchdog(config, self._ring)
        self._closed = False
        self._lock = threading.Lock()  # nobody reads the ring while it is freed

    def wait(self, timeout_s: float = 45.0) -> ProcessCamera:
        """Return once the camera streams.

        Raises:
            ConfigError, MissingDependencyError: At once when a setting is wrong or a library is missing.
            CameraError: When it doesn't stream in time; with the last reason.
        """
        end = time.monotonic() + timeout_s
        while self._watchdog.state is not State.STREAMING:
            if self._watchdog.gave_up:
                kind = ConfigError if self._watchdog.error_kind == "ConfigError" else MissingDependencyError
                raise kind(f"{self._who}: {self._watchdog.last_error}")
            if self._closed or time.monotonic() > end:
                raise CameraError(
                    f"{self._who} is {self._watchdog.state} after {timeout_s:g} s instead of streaming: "
                    f"{self._watchdog.last_error or 'it is still being opened; wait longer.'}"
                )
            time.sleep(_POLL_S)
        return self

    def latest(self, max_age_ns: int) -> Frame:
        """The newest frame, with depth where it is switched on, stamped with its receipt minus the camera's latency.

        Raises:
            StaleDataError: When it is older than `max_age_ns`, frozen, or there is none.
        """
        found = self._fresh(max_age_ns, depth=self.config.source.depth)
        depth = None if found.depth is None else in_millimetres(found.depth, found.stamp.depth_unit_nm)
        return Frame(image=found.colour, t_ns=found.stamp.t_ns - self.config.latency_ns, depth=depth)

    def depth(self, max_age_ns: int) -> DepthFrame:
        """The newest depth image.

        Raises:
            ConfigError: When depth is not switched on.
            StaleDataError: When it is older than `max_age_ns`, frozen, or there is none.
        """
        if not self.config.source.depth:
            raise ConfigError(f"{self._who} streams no depth; set depth: true in its settings (RealSense only).")
        found = self._fresh(max_age_ns, depth=True)
        if found.depth is None:
            raise CameraError(f"{self._who} sent a frame without depth; restart it.")
        t_ns = found.stamp.t_ns - self.config.latency_ns
        return DepthFrame(found.depth, found.stamp.depth_unit_nm * 1e-9, t_ns)

    def status(self) -> CameraStatus:
        """How the camera is doing. Still answers after `close`, with the last numbers gone."""
        watchdog, state = self._watchdog, self._watchdog.state
        with self._lock:
            stamp = None if self._closed else self._ring.stamp()
            period_ns = None if self._closed else self._ring.period_ns()
            frames, dropped = (0, 0) if self._closed else (self._ring.written, self._ring.dropped)
        return CameraStatus(
            name=self.config.name,
            device=self.config.source.device,
            state=state,
            fps=NS_PER_S / period_ns if period_ns and state is State.STREAMING else 0.0,
            age_ms=None if stamp is None else self._age_ns(stamp) / 1e6,
            frames=frames,
            dropped=dropped,
            reconnects=max(0, watchdog.starts - 1),
            exposure_us=stamp.exposure_us if stamp and stamp.exposure_us >= 0 else None,
            pid=watchdog.pid,
            last_error=watchdog.last_error,
        )

    @property
    def address(self) -> str:
        """Where another process of this user may read the frames: `FrameRing.attach(address)`."""
        return self._ring.address

    def close(self) -> None:
        """End the camera's process and free its memory; may be called twice."""
        with self._lock:
            was_closed, self._closed = self._closed, True
        if not was_closed:  # from here on nobody reads the ring
            self._watchdog.close()
            self._ring.close()

    def __enter__(self) -> ProcessCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _who(self) -> str:
        return f"Camera {self.config.name!r} ({self.config.source.device})"

    def _age_ns(self, stamp: Stamp) -> int:
        return time.monotonic_ns() - stamp.t_ns + self.config.latency_ns

    def _fresh(self, max_age_ns: int, depth: bool) -> RingFrame:
        """The newest frame unless it may not be used."""
        with self._lock:
            if self._closed:
                raise StaleDataError(f"{self._who} is closed; open it again.")
            found = self._ring.newest(depth)
        if found is None:
            raise StaleDataError(f"{self._who} has sent no frame yet. {self._advice(self._watchdog.state)}")
        if is_frozen(found.stamp, self.config.patience):
            same_s = (found.stamp.t_ns - found.stamp.changed_ns) / NS_PER_S
            raise StaleDataError(
                f"{self._who} has sent the same image for {same_s:.1f} s, at most "
                f"{self.config.patience.frozen_s:g} s are allowed. {self._advice(State.FROZEN)}"
            )
        age_ns = self._age_ns(found.stamp)
        if age_ns > max_age_ns:
            state = self._watchdog.state
            raise StaleDataError(
                f"{self._who} is {state}: its newest frame is {age_ns / 1e6:.0f} ms old, at most "
                f"{max_age_ns / 1e6:.0f} ms are allowed. {self._advice(state)}"
            )
        return found

    def _advice(self, state: State) -> str:
        """What to do; why its process ended only while there is none that delivers."""
        ended = self._watchdog.last_error if state in (State.STARTING, State.LOST) else None
        error = f" Last error: {ended}" if ended else ""
        return (_GAVE_UP if self._watchdog.gave_up else _ADVICE[state]) + error
