"""The kinds of camera: settings, source of frames, and what is attached of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from drivers.cameras.find import Attached, find_realsense, find_v4l2
from drivers.cameras.realsense import RealSenseSource
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.source import FrameSource
from drivers.cameras.uvc import UvcConfig, UvcSource
from trajectories.errors import ConfigError
from trajectories.registry import Registry


class SourceSettings(Protocol):
    """Settings of one camera's device: a frozen dataclass of plain JSON types that checks its values when it is made.

    The camera's process gets them as JSON, so a tuple arrives there as a list.
    """

    @property
    def device(self) -> str:
        """Name the device in messages: a path, a serial number."""
        ...

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of the frames that the device delivers, pixels."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def depth(self) -> bool:
        """Whether there are depth images, too."""
        ...


Settings = TypeVar("Settings", bound=SourceSettings)


@dataclass(frozen=True)
class CameraKind(Generic[Settings]):
    """One kind of camera.

    Attributes:
        settings: Class of its settings.
        source: Makes the source of frames from them, in the camera's own process; it opens nothing yet.
        chosen_by: The setting that says which of the attached devices it is; empty when there is nothing to choose.
        find: Lists the attached devices for `regrasp doctor`; None when they can't be listed.
        attached: Whether the device of these settings is there, given what `find` listed; None leaves it to opening.
    """

    settings: type[Settings]
    source: Callable[[Settings], FrameSource]
    chosen_by: str = "device"
    find: Callable[[], Attached] | None = None
    attached: Callable[[Settings, Attached], bool] | None = None


def _uvc_attached(settings: UvcConfig, found: Attached) -> bool:
    return settings.stand_in is not None or Path(settings.device).exists()


def _realsense_attached(settings: RealSenseConfig, found: Attached) -> bool:
    return settings.stand_in is not None or found.named(settings.serial) is not None


KINDS: Registry[CameraKind[Any]] = Registry(
    "regrasp.cameras",
    "kind of camera",
    {
        "uvc": CameraKind(UvcConfig, UvcSource, find=find_v4l2, attached=_uvc_attached),
        "realsense": CameraKind(
            RealSenseConfig, RealSenseSource, "serial", find=find_realsense, attached=_realsense_attached
        ),
    },
)
"""Name of the kind, as in `robot.cameras.NAME.kind`, -> the kind. Packages add to it by `regrasp.cameras`."""


def kind_of(source: SourceSettings) -> str:
    """The name of the kind that has settings of this class.

    Raises:
        ConfigError: When there is none.
    """
    for name in KINDS:
        with suppress(ConfigError):  # another kind, of a package that can't be imported
            if type(source) is KINDS[name].settings:
                return name
    raise ConfigError(f"{type(source).__name__} is no kind of camera; there are {', '.join(KINDS)}.")


def source_settings(kind: str, raw: Mapping[str, Any], where: str) -> SourceSettings:
    """Settings of that kind from plain types.

    Args:
        kind: One of `KINDS`.
        raw: Key -> value.
        where: What they belong to, for messages.

    Raises:
        ConfigError: On an unknown kind, a key that the kind doesn't have, one that is missing, a value that is refused.
    """
    made_by = KINDS[kind].settings
    known = {field.name: field for field in fields(made_by)}
    needed = [n for n, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    unknown = [key for key in raw if key not in known]
    missing = [key for key in needed if key not in raw]
    there_are = f"a camera of kind {kind} has {', '.join(known)}."
    if unknown:
        raise ConfigError(f"{where} has no setting {unknown[0]!r}; {there_are}")
    if missing:
        raise ConfigError(f"{where} lacks the setting {missing[0]!r}; {there_are}")
    try:
        return made_by(**raw)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: a value has the wrong kind ({error}); got {dict(raw)!r}.") from error
