"""Settings of a RealSense camera."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.cameras.checks import pixels
from trajectories.errors import ConfigError
from trajectories.numbers import positive


@dataclass(frozen=True)
class RealSenseConfig:
    """Settings of a RealSense camera.

    Attributes:
        serial: Serial number; `drivers.cameras.find` lists those attached.
        resolution: (height, width) of colour and depth.
        fps: Frames per second of both.
        depth: Whether depth is streamed, too.
        reset: Whether a camera that starts and sends nothing is reset before the last attempt to open it.
        exposure_us: Fixed exposure of the colour image; None leaves it to the camera.
        stand_in: "module:callable" called with `serial`; returns a `SoftwareFeed` whose images go through
            librealsense's software device instead of a camera: virtual cameras, tests.
    """

    serial: str
    resolution: tuple[int, int] = (480, 640)
    fps: int = 30
    depth: bool = False
    exposure_us: int | None = None
    reset: bool = True
    stand_in: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", pixels("resolution", self.resolution))
        positive("fps", self.fps)
        if not isinstance(self.serial, str) or not self.serial:
            raise ConfigError(f"serial is {self.serial!r}, expected the serial number as text (put it in quotes).")
        if self.exposure_us is not None:
            positive("exposure_us", self.exposure_us)

    @property
    def device(self) -> str:
        """The serial number: what names the device in messages."""
        return self.serial
