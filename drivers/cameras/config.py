"""Settings of one camera, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from drivers.cameras.checks import pixels
from drivers.cameras.fitting import Window, window
from drivers.cameras.registry import SourceSettings, kind_of, source_settings
from trajectories.errors import ConfigError
from trajectories.numbers import positive


@dataclass(frozen=True)
class Patience:
    """How long a camera may misbehave, in seconds.

    Attributes:
        stale_s: Without a new frame for this long, it is stale.
        frozen_s: Sending the same image over and over for this long, it is frozen (real sensors have noise).
        bad_s: Stale or frozen for this long, its process is started anew.
        hang_s: A driver call may take this long; then the process is killed.
        open_s: Time from the start of the process to the first frame, hardware reset included.
        first_wait_s: Pause before the first new start; it doubles with every failure in a row.
        longest_wait_s: Up to this.
        settled_s: Streaming for this long, earlier failures are forgotten.
    """

    stale_s: float = 0.5
    frozen_s: float = 2.0
    bad_s: float = 2.0
    hang_s: float = 3.0
    open_s: float = 40.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 10.0
    settled_s: float = 5.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            positive(name, value)
        if self.longest_wait_s < self.first_wait_s:
            raise ConfigError(
                f"longest_wait_s ({self.longest_wait_s}) is below first_wait_s ({self.first_wait_s}); raise it."
            )


@dataclass(frozen=True)
class CameraConfig:
    """Settings of one camera.

    Attributes:
        name: The camera's name in the `RobotSpec`.
        source: The device and its own settings.
        size: (height, width) of the frames, as the `RobotSpec` wants them.
        crop: (top, left, height, width) of the device's image that is used; None: as much of the middle as has the
            shape of `size`.
        latency_ms: From light to receipt, subtracted from every stamp; `regrasp calibrate calibrate.what=latency`
            measures it.
        patience: Time limits.
    """

    name: str
    source: SourceSettings
    size: tuple[int, int] = (96, 96)
    crop: Window | None = None
    latency_ms: float = 0.0
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", pixels("size", self.size))
        if self.crop is not None:
            object.__setattr__(self, "crop", pixels("crop (top, left, height, width)", self.crop, 4))
        if min(self.size) < 1:
            raise ConfigError(f"Camera {self.name!r}: size is {self.size}, expected at least one pixel each way.")
        if not 0 <= self.latency_ms < 1000:
            raise ConfigError(f"Camera {self.name!r}: latency_ms is {self.latency_ms}, expected 0 to 1000.")
        _ = self.window

    @property
    def window(self) -> Window:
        """The part of the device's image that is used: (top, left, height, width)."""
        return window(self.source.resolution, self.size, self.crop)

    @property
    def latency_ns(self) -> int:
        """`latency_ms` in ns."""
        return round(self.latency_ms * 1e6)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the camera's process."""
        return {**asdict(self), "kind": kind_of(self.source)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CameraConfig:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: When the kind of camera is unknown, or the package that brings it can't be loaded.
        """
        values = dict(raw)
        kind = values.pop("kind")
        values["source"] = source_settings(kind, values["source"], f"Camera {values['name']!r}")
        values["patience"] = Patience(**values["patience"])
        return cls(**values)
