"""Videos of cameras: decoded through PyAV, encoded as lerobot's own recorder encodes them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError, FormatError
from trajectories.formats.images import reduction
from trajectories.media import first_encoder

_TOLERANCE = 0.25
"""Of the time between two frames, by which one may miss its time."""
_CODES = 4095
"""The largest number that stands for a depth."""
_DEPTH = {"depth_min": 0.01, "depth_max": 10.0, "shift": 3.5, "use_log": True}
ENCODERS: dict[str, dict[str, object]] = {
    "libsvtav1": {"g": "2", "crf": "30", "preset": "12", "svtav1-params": "fast-decode=0"},
    "libx264": {"g": "2", "crf": "30"},
}
"""FFmpeg's encoder -> options, best first: what lerobot records with unless it is told otherwise."""


@dataclass(frozen=True)
class VideoFrames:
    """The frames of a camera that lie one after the other in a video.

    Attributes:
        path: Of the video.
        start_s: Time of the first in it.
        fps: Frames per second.
        count: Number of frames.
        size: (height, width).
        depth: What `info.json` says of a depth video, `video.depth_min` and others; None for colour.
    """

    path: Path
    start_s: float
    fps: float
    count: int
    size: tuple[int, int]
    depth: Mapping[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """See `FrameSource.shape`."""
        return (self.count, *self.size, 3) if self.depth is None else (self.count, *self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `FrameSource.dtype`."""
        return np.dtype(np.uint8 if self.depth is None else np.uint16)

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        """See `FrameSource.read`."""
        wanted = np.arange(self.count) if indices is None else np.asarray(indices, np.int64)
        factor = 1 if self.depth is not None else reduction(self.size, at_least)
        height, width = (-(-side // factor) for side in self.size)
        frames = np.empty((len(wanted), height, width, *self.shape[3:]), self.dtype)
        if not len(wanted):
            return frames
        missing = set(wanted.tolist())
        try:
            for index, frame in self._decode(int(wanted[0])):
                if index in missing:
                    frames[wanted == index] = self._pixels(frame, width, height)
                    missing.discard(index)
                if not missing:
                    return frames
        except (FFmpegError, OSError, ValueError) as error:
            raise DamagedEpisodeError(f"{self.path} can't be decoded: {error}.") from error
        raise DamagedEpisodeError(
            f"{self.path} has no frame {min(missing)} of the {self.count} that the episode is to have from "
            f"{self.start_s:.3f} s on, at {self.fps:g} frames per second."
        )

    def _decode(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames from shortly before number `first` on, with their numbers in this episode."""
        with av.open(str(self.path)) as container:
            if not container.streams.video:
                raise DamagedEpisodeError(f"{self.path} has no video in it.")
            stream = container.streams.video[0]
            time_base = cast(Fraction, stream.time_base)
            begin = max(0, round((self.start_s + first / self.fps) / time_base) - 1)
            container.seek(begin, stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                number = (float(frame.pts * time_base) - self.start_s) * self.fps
                if abs(number - round(number)) < _TOLERANCE:
                    yield round(number), frame
                if number > self.count:
                    return

    def _pixels(self, frame: av.VideoFrame, width: int, height: int) -> NDArray[Any]:
        if (frame.height, frame.width) != self.size:
            raise DamagedEpisodeError(
                f"{self.path} has frames of {frame.width}x{frame.height}; info.json declares "
                f"{self.size[1]}x{self.size[0]}."
            )
        if self.depth is None:
            if (frame.width, frame.height) == (width, height):
                return frame.to_ndarray(format="rgb24")
            return frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
        return _depth_mm(frame.to_ndarray(format="gray12le"), self.depth)


def _depth_mm(codes: NDArray[Any], info: Mapping[str, Any]) -> NDArray[np.uint16]:
    """Depth in mm from 12-bit codes, linear or logarithmic between two depths in m."""
    low, high, shift, log = (info.get(f"video.{name}", default) for name, default in _DEPTH.items())
    if log:
        least, most = math.log(low + shift), math.log(high + shift)
        metres = np.exp(codes.astype(np.float32) * ((most - least) / _CODES) + least) - shift
    else:
        metres = codes.astype(np.float32) * ((high - low) / _CODES) + low
    return np.rint(1000.0 * metres.clip(low, high)).clip(0, 65535).astype(np.uint16)


def encoder() -> str:
    """The best encoder that this FFmpeg has.

    Raises:
        MissingDependencyError: It has none.
    """
    return first_encoder(ENCODERS, ", or write images into the tables (lossless=true)")


class VideoWriter:
    """One video being written, frame after frame.

    Args:
        path: Of the MP4; its folder is made.
        fps: Frames per second.
        size: (height, width), even.

    Attributes:
        path: Of the MP4.
        count: Frames so far.
        size_bytes: Of what the encoder has given so far.

    Raises:
        FormatError: The size is odd: a video has half the resolution in colour.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        if size[0] % 2 or size[1] % 2:
            raise FormatError(
                f"Frames of {size[1]}x{size[0]} can't be a video of even sides; write with lossless=true."
            )
        os.environ.setdefault("SVT_LOG", "1")  # errors only: the AV1 encoder tells its whole configuration otherwise
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.count, self.size_bytes = path, 0, 0
        name = encoder()
        self._container = av.open(str(path), "w")
        self._stream = cast(VideoStream, self._container.add_stream(name, Fraction(fps).limit_denominator(1001)))
        self._stream.height, self._stream.width, self._stream.pix_fmt = *size, "yuv420p"
        self._stream.options = ENCODERS[name]

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append uint8 (N, H, W, 3) RGB."""
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            self._mux(self._stream.encode(picture))
        self.count += len(frames)

    def close(self) -> None:
        """Finish the file."""
        self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: list[av.Packet]) -> None:
        self.size_bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)


def video_info(path: Path, fps: float) -> dict[str, Any]:
    """What `info.json` says of a camera's videos."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        codec_name = "av1" if "av1" in codec.name else codec.name
        return {
            "video.height": codec.height,
            "video.width": codec.width,
            "video.codec": codec_name,
            "video.pix_fmt": codec.pix_fmt,
            "is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        }
