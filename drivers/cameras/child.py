"""Run one camera in a process of its own; `CameraProcess` starts this module.

A line of JSON on standard input says what to do; the frames' ring is an inherited descriptor; events go back as lines
of JSON on standard output. It ends when its parent says so or ends, however that ends.
"""

from __future__ import annotations

import os
import threading
import time
import zlib

from drivers.cameras.config import CameraConfig
from drivers.cameras.fitting import fit_colour, fit_depth
from drivers.cameras.registry import KINDS, kind_of
from drivers.cameras.ring import FrameRing, Stamp
from drivers.cameras.source import FrameSource, RawFrame
from drivers.parent_link import FAILED, Events, die_with_parent, read_task
from trajectories.errors import RegraspError

_WAIT_S = 0.2  # for one frame; between two waits the process leaves a sign of life
_GRACE_S = 2.0


def build_source(config: CameraConfig) -> FrameSource:
    """The source that the settings ask for, not yet open."""
    return KINDS[kind_of(config.source)].source(config.source)


class Pump:
    """Moves frames from a source into the ring: fits them, notices repeated and missing ones.

    Args:
        config: The camera's settings.
        ring: Its ring, writable. What an earlier process saw last is taken from there, so that a frozen camera stays
            frozen after a new start.
    """

    def __init__(self, config: CameraConfig, ring: FrameRing) -> None:
        self._size, self._part, self._ring = config.size, config.window, ring
        last = ring.stamp()
        self._digest = last.digest if last else None
        self._changed_ns = last.changed_ns if last else 0
        self._number: int | None = None

    def put(self, frame: RawFrame) -> None:
        """Publish one frame."""
        digest = zlib.crc32(frame.colour.data)
        if digest != self._digest:
            self._digest, self._changed_ns = digest, frame.t_ns
        dropped = max(0, frame.number - self._number - 1) if self._number is not None else 0
        self._number = frame.number
        stamp = Stamp(
            t_ns=frame.t_ns,
            changed_ns=self._changed_ns,
            number=frame.number,
            digest=digest,
            device_us=frame.device_us,
            exposure_us=frame.exposure_us,
            gain=frame.gain,
            depth_unit_nm=frame.depth_unit_nm,
        )
        colour = fit_colour(frame.colour, self._size, self._part)
        depth = None if frame.depth is None else fit_depth(frame.depth, self._size, self._part)
        self._ring.write(colour, depth, stamp, dropped)


def pump_until(stop: threading.Event, config: CameraConfig, ring: FrameRing, events: Events) -> None:
    """Open the camera and publish its frames until `stop` is set.

    Raises:
        RegraspError: When the camera can't be opened or is gone.
    """
    source = build_source(config)
    pump = Pump(config, ring)
    try:
        source.open()
        ring.beat(time.monotonic_ns())
        events.tell("open")
        while not stop.is_set():
            ring.beat(time.monotonic_ns())
            frame = source.next(_WAIT_S)
            if frame is not None:
                pump.put(frame)
    finally:
        source.close()


def _stop_when_told(stop: threading.Event) -> None:
    """Wait for a word from the parent, or its end; then ask the main thread to end and, if it hangs, end it."""
    os.read(0, 1)
    stop.set()
    time.sleep(_GRACE_S)
    os._exit(FAILED)


def main() -> int:
    """Run until told to stop; exit code 3 after a failure that was reported."""
    events = Events()
    task = read_task()
    die_with_parent(task["parent"])
    stop = threading.Event()
    threading.Thread(target=_stop_when_told, args=(stop,), daemon=True).start()
    try:
        config = CameraConfig.from_dict(task["camera"])
        with FrameRing.attach(task["ring_fd"], writable=True) as ring:
            pump_until(stop, config, ring, events)
    except RegraspError as error:
        if not stop.is_set():
            events.tell("failed", kind=type(error).__name__, message=str(error))
            return FAILED
    return 0
