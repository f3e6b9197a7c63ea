"""librealsense's software device: images that we push come back as frame sets, as if from a camera.

It does not appear among the devices nor in a pipeline, so it stands beside `Pipeline` behind one interface; whatever
is done with the frame sets afterwards is the same code.
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.realsense_library import load_realsense
from drivers.cameras.source import load_stand_in
from drivers.errors import CameraError
from trajectories.types import UInt8, UInt16

_DEPTH_UNIT_M = 0.001
_SYNC_MS = 5


class SoftwareFeed(Protocol):
    """What a stand-in returns: images to push into the software device."""

    def next(self, timeout_s: float) -> tuple[UInt8, UInt16 | None, int, int] | None:
        """Colour uint8 (H, W, 3) RGB, depth uint16 (H, W) in mm or None, frame number, exposure in us; None: none yet.

        Raises:
            OSError: When the feed is gone.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class SoftwareDevice:
    """`FrameSets` of a software device with an "RGB Camera" and, when depth is asked for, a "Stereo Module"."""

    def __init__(self, config: RealSenseConfig) -> None:
        self._config = config
        self._rs = load_realsense()
        self._feed: SoftwareFeed | None = None
        self._sensors: list[tuple[Any, Any]] = []
        self._pushes = 0

    def open(self) -> None:
        """Make the device and open the feed.

        Raises:
            CameraError: When the feed isn't there.
            ConfigError: When the stand-in can't be loaded.
        """
        rs = self._rs
        opener = load_stand_in(self._config.stand_in or "")
        try:
            self._feed = opener(self._config.serial)
        except OSError as error:
            raise CameraError(f"There is no software feed {self._config.serial} ({error}); start it first.") from error
        self._device = rs.software_device()
        self._syncer = rs.syncer()
        self._add("RGB Camera", rs.stream.color, rs.format.rgb8, 3)
        if self._config.depth:
            sensor = self._add("Stereo Module", rs.stream.depth, rs.format.z16, 2)
            sensor.add_read_only_option(rs.option.depth_units, _DEPTH_UNIT_M)
        self._device.create_matcher(rs.matchers.default)
        for sensor, profile in self._sensors:
            sensor.open(profile)
            sensor.start(self._syncer)

    def wait(self, timeout_s: float) -> Any | None:
        """Push the feed's next images and take what the syncer makes of them.

        Raises:
            CameraError: When the feed is gone.
        """
        if self._feed is None:
            raise CameraError(f"Software feed {self._config.serial} is not open; call open first.")
        try:
            given = self._feed.next(timeout_s)
        except OSError as error:
            raise CameraError(f"Software feed {self._config.serial} is gone ({error}).") from error
        if given is None:
            return None
        colour, depth, number, exposure_us = given
        self._pushes += 1
        self._push(0, colour, 3, number, exposure_us)
        if self._config.depth and depth is not None:
            self._push(1, depth, 2, number, exposure_us)
        ok, frames = self._syncer.try_wait_for_frames(_SYNC_MS)
        return frames if ok else None

    def close(self) -> None:
        """Stop the sensors and close the feed."""
        for sensor, _ in self._sensors:
            with contextlib.suppress(RuntimeError):  # not started yet
                sensor.stop()
                sensor.close()
        self._sensors = []
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _add(self, name: str, stream: Any, form: Any, bytes_per_pixel: int) -> Any:
        rs = self._rs
        height, width = self._config.resolution
        lens = rs.intrinsics()
        lens.width, lens.height, lens.coeffs = width, height, [0.0] * 5
        lens.fx = lens.fy = float(width)
        lens.ppx, lens.ppy = width / 2, height / 2
        video = rs.video_stream()
        video.type, video.index, video.uid, video.fmt = stream, 0, len(self._sensors), form
        video.width, video.height, video.fps, video.bpp = width, height, int(self._config.fps), bytes_per_pixel
        video.intrinsics = lens
        sensor = self._device.add_sensor(name)
        self._sensors.append((sensor, sensor.add_video_stream(video)))
        return sensor

    def _push(self, index: int, image: NDArray[Any], bytes_per_pixel: int, number: int, exposure_us: int) -> None:
        rs = self._rs
        if image.shape[:2] != self._config.resolution:
            raise CameraError(
                f"Software feed {self._config.serial} gave {image.shape}, expected {self._config.resolution} pixels."
            )
        sensor, profile = self._sensors[index]
        frame = rs.software_video_frame()
        frame.stride, frame.bpp = image.shape[1] * bytes_per_pixel, bytes_per_pixel
        # Clock and number go on by one with every push: with the host's clock or gaps, the syncer stops pairing. The
        # feed's own number travels as metadata, where a camera puts its counter, too.
        frame.timestamp = self._pushes * 1000.0 / self._config.fps
        frame.frame_number, frame.domain = self._pushes, rs.timestamp_domain.hardware_clock
        frame.profile = profile.as_video_stream_profile()
        frame.pixels = np.ascontiguousarray(image)
        sensor.set_metadata(rs.frame_metadata_value.frame_counter, number)
        sensor.set_metadata(rs.frame_metadata_value.actual_exposure, exposure_us)
        sensor.on_video_frame(frame)
