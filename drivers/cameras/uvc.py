"""USB video class cameras (webcams) through OpenCV's V4L2; or a film on disk in place of the device."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drivers.cameras.checks import pixels
from drivers.cameras.fitting import load_cv2
from drivers.cameras.recording import Recording
from drivers.cameras.source import RawFrame, load_stand_in
from drivers.errors import CameraError
from trajectories.errors import ConfigError
from trajectories.numbers import positive
from trajectories.types import UInt8

_BY_ID = Path("/dev/v4l/by-id")
_AUTO, _MANUAL = 3, 1  # V4L2_EXPOSURE_APERTURE_PRIORITY and V4L2_EXPOSURE_MANUAL
_FIRST_FRAME_NS = 1_000_000_000
"""A first frame whose stamp is older than this was stamped by another clock."""
_EXPOSURE_UNIT_US = 100  # of V4L2_CID_EXPOSURE_ABSOLUTE


@dataclass(frozen=True)
class UvcConfig:
    """Settings of a USB camera.

    Attributes:
        device: /dev/v4l/by-id/... (stays the same when plugs move), /dev/videoN, or an MJPG film on disk.
        resolution: (height, width) that the device delivers.
        fps: Frames per second.
        fourcc: Pixel format on the wire; MJPG fits USB 2 at any resolution.
        exposure_us: Fixed exposure time; None leaves it to the camera.
        stand_in: "module:callable" called with `device` in place of `cv2.VideoCapture`: virtual cameras, tests.
    """

    device: str
    resolution: tuple[int, int] = (480, 640)
    fps: float = 30
    fourcc: str = "MJPG"
    exposure_us: int | None = None
    stand_in: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", pixels("resolution", self.resolution))
        positive("fps", self.fps)
        if not self.device:
            raise ConfigError("device is empty; give a path below /dev/v4l/by-id (ls /dev/v4l/by-id shows them).")
        if len(self.fourcc) != 4:
            raise ConfigError(f"fourcc is {self.fourcc!r}, expected four letters such as MJPG or YUYV.")
        if self.exposure_us is not None:
            positive("exposure_us", self.exposure_us)

    @property
    def depth(self) -> bool:
        """Such cameras have no depth."""
        return False


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool:
        """Return whether the device is open."""
        ...

    def set(self, prop: int, value: float) -> bool:
        """Set a `CAP_PROP_*`; return whether the device took it."""
        ...

    def get(self, prop: int) -> float:
        """Return a `CAP_PROP_*`, 0 where the device doesn't know it."""
        ...

    def read(self) -> tuple[bool, UInt8 | None]:
        """Blocks; OpenCV's V4L2 waits up to 10 s for a frame."""
        ...

    def release(self) -> None:
        """Close the device."""
        ...


class UvcSource:
    """A `FrameSource` on a V4L2 device. Frame numbers are its own count: the device tells none."""

    def __init__(self, config: UvcConfig) -> None:
        self._config = config
        self._capture: Capture | None = None
        self._cv2: Any = None
        self._number = 0
        self._exposure_us = -1
        self._stamped: bool | None = None

    def open(self) -> None:
        """Open, set and check the device.

        Raises:
            CameraError: When it is missing, in use, or delivers another resolution than asked for.
            MissingDependencyError: When OpenCV is missing.
            ConfigError: When the stand-in can't be loaded.
        """
        self._cv2 = load_cv2()
        self._capture = self._open_device()
        if not self._capture.isOpened():
            raise CameraError(
                f"{self._config.device} can't be opened: does another program use it, may this user read it "
                "(group video), is it a capture device (of a camera's two nodes the first)?"
            )
        self._apply(self._capture)
        self._check(self._capture)

    def next(self, timeout_s: float) -> RawFrame | None:
        """The next frame, RGB. The driver blocks as long as it likes; the watchdog ends that.

        Raises:
            CameraError: When the device stopped delivering.
        """
        if self._capture is None:
            raise CameraError(f"{self._config.device} is not open; call open first.")
        ok, image = self._capture.read()
        t_ns = self._stamp(self._capture, time.monotonic_ns())
        if not ok or image is None:
            raise CameraError(f"{self._config.device} stopped delivering frames; check its cable.")
        if image.shape != (*self._config.resolution, 3):
            raise CameraError(f"{self._config.device} sent {image.shape}, expected {(*self._config.resolution, 3)}.")
        self._number += 1
        colour = self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB)
        return RawFrame(colour, None, t_ns, number=self._number, exposure_us=self._exposure_us)

    def _stamp(self, capture: Capture, now_ns: int) -> int:
        """When the driver got the frame that was read last, monotonic ns.

        While this process is stopped, frames wait in the driver's queue. V4L2 stamps them with the monotonic clock, and
        OpenCV passes that on; a device whose first frame says otherwise (a film, another clock, 0 for none) is stamped
        on receipt.
        """
        stamp_ns = round(capture.get(self._cv2.CAP_PROP_POS_MSEC) * 1e6)
        if self._stamped is None:
            self._stamped = 0 < now_ns - stamp_ns < _FIRST_FRAME_NS
        return min(stamp_ns, now_ns) if self._stamped else now_ns

    def close(self) -> None:
        """Release the device."""
        self._stamped = None
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open_device(self) -> Capture:
        device = self._config.device
        if self._config.stand_in is not None:
            return load_stand_in(self._config.stand_in)(device)
        path = Path(device)
        if path.is_file():
            return Recording(self._cv2, device, self._config.fps)
        if not path.exists():
            there = sorted(str(p) for p in _BY_ID.glob("*")) if _BY_ID.is_dir() else []
            raise CameraError(f"There is no device {device}; attached are: {', '.join(there) or 'none'}.")
        return self._cv2.VideoCapture(device, self._cv2.CAP_V4L2)

    def _apply(self, capture: Capture) -> None:
        cv2, config = self._cv2, self._config
        height, width = config.resolution
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*config.fourcc))  # before the size: it limits sizes
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        capture.set(cv2.CAP_PROP_FPS, config.fps)
        if config.exposure_us is None:
            capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _AUTO)
            return
        units = max(1, round(config.exposure_us / _EXPOSURE_UNIT_US))
        # Some cameras only accept a fixed exposure after a change of mode (opencv#9738).
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _AUTO)
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL)
        if not capture.set(cv2.CAP_PROP_EXPOSURE, units):
            raise CameraError(
                f"{config.device} refuses a fixed exposure of {config.exposure_us} us; set exposure_us to null or to "
                "a value from `v4l2-ctl -L` (its unit is 100 us)."
            )
        self._exposure_us = units * _EXPOSURE_UNIT_US

    def _check(self, capture: Capture) -> None:
        cv2, config = self._cv2, self._config
        found = (round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        if found != config.resolution:
            raise CameraError(
                f"{config.device} delivers {found[0]} x {found[1]} pixels instead of {config.resolution[0]} x "
                f"{config.resolution[1]} (height x width) as {config.fourcc}; `v4l2-ctl --list-formats-ext` shows "
                "what it can."
            )
