"""A ring of time-stamped frames in shared memory: one writing process, any number of readers.

The memory is an anonymous file (`drivers.shared_memory`): nothing is left behind after `kill -9`. The writer gets the
descriptor from its parent; readers in other processes of the same user attach by `FrameRing.address`.

Torn frames are impossible. A slot's sequence number is negative while it is written and the frame's count when it is
whole; a reader looks at it before and after its copy and starts again with the newest frame if it changed. A writer
killed half-way leaves the newest whole frame as it was, and its successor writes over the broken slot.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from dataclasses import astuple, dataclass, fields
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CameraError
from drivers.shared_memory import create_memory, fence
from trajectories.types import Int64, UInt8, UInt16

_MAGIC = 0x7265_6772_6173_7031
_LINE = 128  # bytes of a header; keeps images off the cache lines of the counters
_KIND, _HEIGHT, _WIDTH, _DEPTH, _SLOTS, _WRITTEN, _DROPPED, _BEAT = range(8)
_RETRIES = 1000
UNKNOWN = -1


@dataclass(frozen=True)
class Stamp:
    """What is known of one frame; int64 each, -1 where the device doesn't tell.

    Attributes:
        t_ns: Host monotonic ns of the receipt.
        changed_ns: t_ns of the first frame of the run of identical frames that this one belongs to.
        number: The device's frame number.
        digest: CRC-32 of the colour image as it came from the device.
        device_us: The device's own clock; it may jump (librealsense#10775).
        exposure_us: Exposure time.
        gain: Gain in the device's unit.
        depth_unit_nm: Length of one depth unit, nm (1,000,000: depth is in mm).
    """

    t_ns: int
    changed_ns: int
    number: int = UNKNOWN
    digest: int = UNKNOWN
    device_us: int = UNKNOWN
    exposure_us: int = UNKNOWN
    gain: int = UNKNOWN
    depth_unit_nm: int = UNKNOWN


@dataclass(frozen=True)
class RingFrame:
    """A copy of one slot: colour uint8 (H, W, 3) RGB, depth uint16 (H, W) or None, and its stamp."""

    colour: UInt8
    depth: UInt16 | None
    stamp: Stamp


_FIELDS = len(fields(Stamp))


class FrameRing:
    """The ring. Make it with `create` in the parent, `attach` in the writer and in other readers.

    Attributes:
        size: (height, width) of the frames.
        has_depth: Whether slots hold depth.
        slots: Number of slots.
    """

    def __init__(self, fd: int, writable: bool, keep_fd: bool) -> None:
        """Map the memory behind `fd`; use `create` or `attach` instead.

        Raises:
            CameraError: When there is no ring in it.
        """
        length = os.fstat(fd).st_size
        if length < _LINE:
            raise CameraError(f"Expected a ring of frames, found a file of {length} bytes; give a ring's address.")
        self._map = mmap.mmap(fd, length, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
        self._header: Int64 = np.frombuffer(self._map, np.int64, _LINE // 8)
        kind, height, width, depth, slots = self._header[:5].tolist()
        if kind != _MAGIC or length != _bytes(height, width, bool(depth), slots):
            self._header = np.empty(0, np.int64)
            self._map.close()
            raise CameraError("The memory holds no ring of frames (or one of another version); start both sides anew.")
        self.size = (height, width)
        self.has_depth = bool(depth)
        self.slots = slots
        self._fd = fd if keep_fd else None
        self._writable = writable
        self._metas: list[Int64] = []
        self._colours: list[UInt8] = []
        self._depths: list[UInt16] = []
        for i in range(slots):
            self._view(i)

    @classmethod
    def create(cls, size: tuple[int, int], depth: bool = False, slots: int = 6) -> FrameRing:
        """A new, empty ring for frames of (height, width) pixels.

        Raises:
            CameraError: When the size isn't positive or there are fewer than two slots.
        """
        height, width = size
        if height < 1 or width < 1 or slots < 2:
            raise CameraError(f"A ring needs a positive size and two slots or more, got {size} and {slots} slots.")
        fd = create_memory("regrasp-frames", _bytes(height, width, depth, slots))
        header = np.array([_MAGIC, height, width, int(depth), slots, 0, 0, 0], dtype=np.int64)
        os.pwrite(fd, header.tobytes(), 0)
        return cls(fd, writable=False, keep_fd=True)

    @classmethod
    def attach(cls, where: int | str, writable: bool = False) -> FrameRing:
        """Map a ring: `where` is an inherited descriptor (it is closed here) or another process's `address`.

        Raises:
            CameraError: When nothing is there (its owner ended?) or it is no ring.
        """
        try:
            fd = where if isinstance(where, int) else os.open(where, os.O_RDWR if writable else os.O_RDONLY)
        except OSError as error:
            raise CameraError(
                f"No ring of frames at {where} ({error}); is the process that owns it running?"
            ) from error
        try:
            return cls(fd, writable, keep_fd=False)
        finally:
            os.close(fd)

    @property
    def address(self) -> str:
        """Where other processes of this user attach.

        Raises:
            CameraError: When this isn't the ring's owner.
        """
        return f"/proc/{os.getpid()}/fd/{self.owner_fd}"

    @property
    def owner_fd(self) -> int:
        """The descriptor of the memory, to hand to the writing process.

        Raises:
            CameraError: When this isn't the ring's owner.
        """
        if self._fd is None:
            raise CameraError("Only the process that created a ring, and hasn't closed it, can pass it on.")
        return self._fd

    # ---- the writer ---------------------------------------------------------------------------------------

    def write(self, colour: UInt8, depth: UInt16 | None, stamp: Stamp, dropped: int = 0) -> None:
        """Publish a frame; `dropped` frames of the device were missed before it.

        Args:
            colour: uint8 (H, W, 3).
            depth: uint16 (H, W), None exactly when the ring has no depth.
            stamp: Its stamp.
            dropped: Added to the ring's count.

        Raises:
            CameraError: When this side may not write, or shapes or dtypes differ from the ring's.
        """
        if not self._writable:
            raise CameraError("This side of the ring may only read; attach with writable=True in the one writer.")
        self._check(colour, depth)
        count = int(self._header[_WRITTEN]) + 1
        i = count % self.slots
        meta = self._metas[i]
        meta[0] = -count
        fence()
        self._colours[i][...] = colour
        if depth is not None:
            self._depths[i][...] = depth
        meta[1 : 1 + _FIELDS] = astuple(stamp)
        fence()
        meta[0] = count
        fence()
        self._header[_DROPPED] += dropped
        self._header[_WRITTEN] = count

    def beat(self, t_ns: int) -> None:
        """Leave a sign of life: the writer is about to ask its device for a frame."""
        self._header[_BEAT] = t_ns

    # ---- readers ------------------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Frames written so far."""
        return int(self._header[_WRITTEN])

    @property
    def dropped(self) -> int:
        """Frames that the device numbered and that never arrived."""
        return int(self._header[_DROPPED])

    @property
    def beat_ns(self) -> int:
        """The writer's last sign of life, monotonic ns; 0 before the first."""
        return int(self._header[_BEAT])

    def stamp(self) -> Stamp | None:
        """The newest frame's stamp, None before the first."""
        frame = self._newest(colour=False, depth=False)
        return frame.stamp if frame else None

    def newest(self, depth: bool = False) -> RingFrame | None:
        """A copy of the newest frame, None before the first; with its depth when asked.

        Raises:
            CameraError: When depth is asked for and the ring has none, or the writer is faster than this reader.
        """
        if depth and not self.has_depth:
            raise CameraError("This camera's ring holds no depth; switch depth on in the camera's settings.")
        return self._newest(colour=True, depth=depth)

    def period_ns(self) -> float | None:
        """Mean time between the frames in the ring, ns; None with fewer than two."""
        times = []
        written = self.written
        for count in range(max(1, written - self.slots + 2), written + 1):
            meta = self._metas[count % self.slots].copy()
            if meta[0] == count:
                times.append(int(meta[1]))
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None

    def close(self) -> None:
        """Let go of the memory; frames already returned are copies and stay valid."""
        self._header = np.empty(0, np.int64)
        self._metas, self._colours, self._depths = [], [], []
        with contextlib.suppress(BufferError):  # another thread still copies: freed when it is done
            self._map.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> FrameRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- inside -------------------------------------------------------------------------------------------

    def _newest(self, colour: bool, depth: bool) -> RingFrame | None:
        for _ in range(_RETRIES):
            count = int(self._header[_WRITTEN])
            if count == 0:
                return None
            fence()
            i = count % self.slots
            meta = self._metas[i]
            if meta[0] != count:
                continue
            values = meta[1 : 1 + _FIELDS].tolist()
            image = self._colours[i].copy() if colour else self._colours[i][:0]
            depths = self._depths[i].copy() if depth else None
            fence()
            if meta[0] == count:
                return RingFrame(image, depths, Stamp(*values))
        raise CameraError(
            f"The writer overtook this reader {_RETRIES} times in a row; give the ring more slots than {self.slots}."
        )

    def _view(self, i: int) -> None:
        height, width = self.size
        start = _LINE + i * _slot_bytes(height, width, self.has_depth)
        self._metas.append(np.frombuffer(self._map, np.int64, _LINE // 8, start))
        colour = np.frombuffer(self._map, np.uint8, height * width * 3, start + _LINE)
        self._colours.append(colour.reshape(height, width, 3))
        if self.has_depth:
            at = start + _LINE + _padded(height * width * 3)
            self._depths.append(np.frombuffer(self._map, np.uint16, height * width, at).reshape(height, width))

    def _check(self, colour: UInt8, depth: UInt16 | None) -> None:
        _check_array(colour, "colour", (*self.size, 3), np.uint8)
        if (depth is not None) != self.has_depth:
            raise CameraError(f"The ring {'needs' if self.has_depth else 'has no place for'} a depth image.")
        if depth is not None:
            _check_array(depth, "depth", self.size, np.uint16)


def _check_array(array: NDArray[Any], what: str, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise CameraError(f"{what} is {array.dtype} {array.shape}, the ring expects {np.dtype(dtype)} {shape}.")


def _padded(length: int) -> int:
    return -(-length // _LINE) * _LINE


def _slot_bytes(height: int, width: int, depth: bool) -> int:
    return _LINE + _padded(height * width * 3) + (_padded(height * width * 2) if depth else 0)


def _bytes(height: int, width: int, depth: bool, slots: int) -> int:
    return _LINE + slots * _slot_bytes(height, width, depth)
