"""The features that `meta/info.json` declares: what a column or camera of a LeRobotDataset holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trajectories.formats.foreign import FormatError, Key

BOOKKEEPING = ("frame_index", "episode_index", "index", "task_index")
"""Columns that say where a row belongs; `ForeignEpisode.columns` is without them."""
TIMESTAMP = "timestamp"
_IMAGES = ("image", "video")
_NO_ARRAYS = ("language",)


@dataclass(frozen=True)
class Feature:
    """One declared column or camera.

    Attributes:
        dtype: NumPy's name, "string", "image" (encoded in the table) or "video" (in files beside it).
        shape: Of one row, as declared; (1,) is a number.
        names: Of the entries, empty where they have none.
        depth: Whether a camera measures depth.
        info: What is declared of a video.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    depth: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        """Whether it is a camera."""
        return self.dtype in _IMAGES

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a camera, whichever axis the channels are declared on."""
        if len(self.shape) == 2:
            return self.shape[0], self.shape[1]
        channels_first = self.shape[0] in (1, 3) and self.shape[2] not in (1, 3)
        return (self.shape[1], self.shape[2]) if channels_first else (self.shape[0], self.shape[1])

    @property
    def key(self) -> Key:
        """As sources describe it."""
        if self.is_image:
            shape, dtype = (self.size, "uint16") if self.depth else ((*self.size, 3), "uint8")
            return Key(shape, dtype, image=True)
        return Key(() if self.shape == (1,) else self.shape, self.dtype, names=self.names)


def read_features(declared: Any, where: str) -> dict[str, Feature]:
    """Features from `info.json`; those that no array can hold (annotations in several languages) are left out.

    Raises:
        FormatError: The declaration is none.
    """
    if not isinstance(declared, dict) or not declared:
        raise FormatError(f"{where} declares no features; expected a mapping from column to dtype and shape.")
    features = {}
    for key, raw in declared.items():
        try:
            info = raw.get("info") or raw.get("video_info") or {}
            depth = bool(info.get("is_depth_map") or info.get("video.is_depth_map"))
            shape = tuple(int(length) for length in raw["shape"])
            feature = Feature(str(raw["dtype"]), shape, _names(raw.get("names")), depth, info)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{where} declares {key!r} as {raw!r}; expected dtype and shape ({error!r}).") from error
        if feature.is_image and len(shape) not in (2, 3):
            raise FormatError(f"{where} declares the camera {key!r} with the shape {shape}; expected (H, W, C).")
        if feature.dtype not in _NO_ARRAYS:
            features[str(key)] = feature
    return features


def _names(raw: Any) -> tuple[str, ...]:
    """A flat tuple: some versions write {"motors": [...]}, others [[...]]."""
    while isinstance(raw, dict) or (isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], list)):
        raw = next(iter(raw.values()), None) if isinstance(raw, dict) else raw[0]
    return tuple(map(str, raw)) if isinstance(raw, list) else ()
