"""RealSense cameras: the parsing of frame sets, which real and software devices share."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.realsense_library import load_realsense
from drivers.cameras.realsense_pipeline import Pipeline
from drivers.cameras.realsense_software import SoftwareDevice
from drivers.cameras.source import RawFrame
from drivers.errors import CameraError

_NM = 1_000_000_000


class FrameSets(Protocol):
    """Where frame sets come from: the pipeline of a camera or a software device."""

    def open(self) -> None:
        """Start streaming.

        Raises:
            CameraError: When the device is missing or refuses.
        """
        ...

    def wait(self, timeout_s: float) -> Any | None:
        """The next `rs.composite_frame`, None when there is none in time.

        Raises:
            CameraError: When the device is gone.
        """
        ...

    def close(self) -> None:
        """Stop; may be called twice."""
        ...


class RealSenseSource:
    """A `FrameSource` of a RealSense camera, or of librealsense's software device when a stand-in is set."""

    def __init__(self, config: RealSenseConfig) -> None:
        self._config = config
        self._sets: FrameSets | None = None

    def open(self) -> None:
        """Start the camera.

        Raises:
            CameraError: When it is missing, on USB 2, or doesn't deliver frames even after a reset.
            MissingDependencyError: When pyrealsense2 or libusb is missing.
        """
        self._sets = Pipeline(self._config) if self._config.stand_in is None else SoftwareDevice(self._config)
        self._sets.open()

    def next(self, timeout_s: float) -> RawFrame | None:
        """The next frame; a set without all the streams asked for is passed over.

        Raises:
            CameraError: When the device is gone or sends another resolution.
        """
        if self._sets is None:
            raise CameraError(f"RealSense {self._config.serial} is not open; call open first.")
        frames = self._sets.wait(timeout_s)
        return None if frames is None else parse(frames, self._config, time.monotonic_ns())

    def close(self) -> None:
        """Stop the camera."""
        if self._sets is not None:
            self._sets.close()
            self._sets = None


def parse(frames: Any, config: RealSenseConfig, t_ns: int) -> RawFrame | None:
    """A `rs.composite_frame` as a `RawFrame` received at `t_ns`; None when a stream is missing in it.

    The images are copies: librealsense recycles its buffers.

    Raises:
        CameraError: When the resolution isn't the one asked for.
    """
    colour = frames.get_color_frame()
    depth = frames.get_depth_frame() if config.depth else None
    if not colour or (config.depth and not depth):
        return None
    image = np.array(colour.get_data(), dtype=np.uint8)
    if image.shape != (*config.resolution, 3):
        raise CameraError(
            f"RealSense {config.serial} sent a colour image {image.shape}, expected {(*config.resolution, 3)}."
        )
    counter = _metadata(colour, "frame_counter")
    return RawFrame(
        colour=image,
        depth=np.array(depth.get_data(), dtype=np.uint16) if depth else None,
        t_ns=t_ns,
        number=colour.get_frame_number() if counter < 0 else counter,
        device_us=round(colour.get_timestamp() * 1000),
        exposure_us=_metadata(colour, "actual_exposure"),
        gain=_metadata(colour, "gain_level"),
        depth_unit_nm=round(depth.get_units() * _NM) if depth else -1,
    )


def _metadata(frame: Any, name: str) -> int:
    """A value of the frame's metadata; -1 where the kernel or the device passes none on."""
    value = getattr(load_realsense().frame_metadata_value, name)
    return int(frame.get_frame_metadata(value)) if frame.supports_frame_metadata(value) else -1
