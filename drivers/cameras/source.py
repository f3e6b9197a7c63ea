"""`FrameSource`: the interface of a device inside a camera's process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.cameras.ring import UNKNOWN
from trajectories.errors import ConfigError
from trajectories.types import UInt8, UInt16


@dataclass(frozen=True)
class RawFrame:
    """A frame as the device gave it; -1 where the device doesn't tell.

    Attributes:
        colour: uint8 (H, W, 3) RGB, contiguous.
        depth: uint16 (H, W), seen from the depth sensor (not aligned to colour); None when not asked for.
        t_ns: Host monotonic ns at which the driver got it, or of the receipt where the driver doesn't tell.
        number: The device's frame number.
        device_us: The device's clock, us.
        exposure_us: Exposure time, us.
        gain: Gain in the device's unit.
        depth_unit_nm: Length of one depth unit, nm.
    """

    colour: UInt8
    depth: UInt16 | None
    t_ns: int
    number: int = UNKNOWN
    device_us: int = UNKNOWN
    exposure_us: int = UNKNOWN
    gain: int = UNKNOWN
    depth_unit_nm: int = UNKNOWN


class FrameSource(Protocol):
    """A device of one camera, used from one thread of the camera's own process."""

    def open(self) -> None:
        """Open the device and start it.

        Raises:
            CameraError: When it is missing or refuses; trying again later may help.
            ConfigError, MissingDependencyError: When trying again is of no use.
        """
        ...

    def next(self, timeout_s: float) -> RawFrame | None:
        """The next frame, or None when there is none in time. A driver may block longer: the watchdog is for that.

        Raises:
            CameraError: When the device is gone.
        """
        ...

    def close(self) -> None:
        """Stop and release the device; may be called twice."""
        ...


def load_stand_in(path: str) -> Callable[[str], Any]:
    """The callable "module:name" that stands in for a device library's own way of opening a device.

    Raises:
        ConfigError: When there is no such module or name.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"The stand-in {path!r} can't be loaded ({error}); expected 'module:callable', or none for a real device."
        ) from error
