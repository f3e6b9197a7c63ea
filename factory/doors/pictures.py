"""Frames of foreign cameras at the size of ours: cropped to its shape, then scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from factory.doors.mapping import WHERE, CameraKey
from trajectories.errors import ConfigError
from trajectories.formats.foreign import ForeignEpisode, FrameSource
from trajectories.types import UInt8, UInt16


def frames_of(episode: ForeignEpisode, camera: CameraKey, role: str) -> FrameSource:
    """The source's frames of one of our cameras.

    Raises:
        ConfigError: There are none of this key, or they are no colour images.
    """
    frames = episode.images.get(camera.key)
    if frames is None or frames.dtype != np.uint8:
        known = ", ".join(key for key, found in sorted(episode.images.items()) if found.dtype == np.uint8)
        raise ConfigError(
            f"The source has no colour camera {camera.key!r}: set {WHERE}.cameras.{role}.key to one of "
            f"{known or 'none'}, "
            f"or leave the camera out (~{WHERE}.cameras.{role})."
        )
    return frames


def pictures(
    frames: FrameSource,
    indices: Sequence[int],
    crop: tuple[int, int, int, int] | None,
    size: tuple[int, int],
    role: str,
) -> UInt8:
    """Frames of the source, cropped and scaled.

    Args:
        frames: uint8 (T, H, W, 3).
        indices: Which.
        crop: (top, left, height, width), pixels; None: as much as fits of the shape of `size`, in the middle.
        size: (height, width) of ours.
        role: Of the camera, for messages.

    Returns:
        uint8 (N, height, width, 3).

    Raises:
        ConfigError: The crop lies outside of the frames.
    """
    import cv2

    stored = (frames.shape[1], frames.shape[2])
    top, left, height, width = _cut(stored, crop, size, role)
    needed = (math.ceil(size[0] * stored[0] / height), math.ceil(size[1] * stored[1] / width))
    read = frames.read(indices, needed)
    down, right = read.shape[1] / stored[0], read.shape[2] / stored[1]
    rows = slice(round(top * down), max(round((top + height) * down), round(top * down) + 1))
    columns = slice(round(left * right), max(round((left + width) * right), round(left * right) + 1))
    cut = read[:, rows, columns]
    if cut.shape[1:3] == size:
        return np.ascontiguousarray(cut)  # type: ignore[return-value]
    smaller = cut.shape[1] >= size[0] and cut.shape[2] >= size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    scaled = np.empty((len(cut), *size, 3), np.uint8)
    for picture, target in zip(cut, scaled, strict=True):
        cv2.resize(picture, (size[1], size[0]), dst=target, interpolation=how)
    return scaled


def depth_frames_of(episode: ForeignEpisode, camera: CameraKey, role: str) -> FrameSource:
    """The source's frames of depth of one of our cameras.

    Raises:
        ConfigError: There are none of this key, or they are no depth.
    """
    frames = episode.images.get(str(camera.depth))
    if frames is None or frames.dtype != np.uint16:
        known = ", ".join(key for key, found in sorted(episode.images.items()) if found.dtype == np.uint16)
        raise ConfigError(
            f"The source has no depth {camera.depth!r}: set {WHERE}.cameras.{role}.depth to one of "
            f"{known or 'none'}, or to "
            "null."
        )
    return frames


def depths(frames: FrameSource, indices: Sequence[int], camera: CameraKey, size: tuple[int, int], role: str) -> UInt16:
    """Frames of depth, cropped as `pictures` are; of the pixels that fall together the nearest to the middle counts.

    Returns:
        uint16 (N, height, width) mm, 0 where nothing was measured.

    Raises:
        ConfigError: The crop lies outside of the frames.
    """
    stored = (frames.shape[1], frames.shape[2])
    top, left, height, width = _cut(stored, camera.crop, size, role)
    rows = top + (np.arange(size[0]) * 2 + 1) * height // (2 * size[0])
    columns = left + (np.arange(size[1]) * 2 + 1) * width // (2 * size[1])
    found = frames.read(indices)[:, rows[:, None], columns[None, :]]
    if camera.depth_scale == 1.0:
        return found  # type: ignore[return-value]
    return np.rint(found * camera.depth_scale).clip(0, 65535).astype(np.uint16)


def _cut(
    stored: tuple[int, int], crop: tuple[int, int, int, int] | None, size: tuple[int, int], role: str
) -> tuple[int, int, int, int]:
    """What is used of frames of the size `stored`: (top, left, height, width).

    Raises:
        ConfigError: It lies outside of them.
    """
    top, left, height, width = centred(stored, size) if crop is None else crop
    if min(top, left) < 0 or min(height, width) < 1 or top + height > stored[0] or left + width > stored[1]:
        raise ConfigError(
            f"{WHERE}.cameras.{role}.crop {crop} lies outside of frames of {stored[0]} x {stored[1]} pixels."
        )
    return top, left, height, width


def centred(stored: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest part of the shape of `size` in the middle of a frame: (top, left, height, width)."""
    scale = min(stored[0] / size[0], stored[1] / size[1])
    height, width = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return (stored[0] - height) // 2, (stored[1] - width) // 2, height, width
