"""Image files to pixels: JPEG and PNG, from bytes, at the stored size or at a half, quarter or eighth of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError

_REDUCTIONS = (8, 4, 2)
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"


def size_of(content: bytes) -> tuple[int, int]:
    """(height, width) of an image file, from its head.

    Raises:
        ValueError: It is no image.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.height, image.width
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"no image: {error}") from error


def reduction(size: tuple[int, int], at_least: tuple[int, int] | None) -> int:
    """The strongest of the reductions that a JPEG decoder offers which still gives `at_least`.

    Args:
        size: (height, width) as stored.
        at_least: (height, width) that suffice; None asks for the stored size.

    Returns:
        1, 2, 4 or 8: sides become ceil(side / it).
    """
    if at_least is None:
        return 1
    fits = (f for f in _REDUCTIONS if all(-(-side // f) >= least for side, least in zip(size, at_least, strict=True)))
    return next(fits, 1)


def decode_jpeg(content: bytes | NDArray[np.uint8], factor: int = 1) -> NDArray[np.uint8]:
    """Decode a JPEG file in colour; a note on the camera's orientation is ignored, as by the formats' own readers.

    Args:
        content: The file; what follows its end marker may be zeros.
        factor: 1, 2, 4 or 8: the sides become ceil(side / factor), which takes less time than decoding all pixels.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: It is no JPEG file, or one that was cut short.
    """
    import cv2

    data = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else np.ascontiguousarray(content)
    tail = data[-1024:].tobytes().rstrip(b"\0")
    if data[:2].tobytes() != b"\xff\xd8":
        raise ValueError("no JPEG file")
    if not tail.endswith(JPEG_END):
        raise ValueError("a JPEG file that was cut short")
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    pixels = cv2.imdecode(data, flags[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("a JPEG file that can't be decoded")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)  # type: ignore[return-value]


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3) RGB as BridgeData's recorder does: OpenCV's JPEG of quality 95."""
    import cv2

    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def decode_depth(content: bytes) -> NDArray[np.uint16]:
    """Decode a PNG file of depth.

    Returns:
        uint16 (H, W).

    Raises:
        ValueError: It is no such file, or damaged.
    """
    import cv2

    if not content.rstrip(b"\0").endswith(PNG_END):
        raise ValueError("a PNG file that was cut short, or none")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
        found = "nothing" if pixels is None else f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"a PNG file with {found} in it; expected one channel of 16 bits")
    return pixels  # type: ignore[return-value]


def encode_depth(image: NDArray[np.uint16]) -> bytes:
    """Encode uint16 (H, W) as a PNG file, losslessly."""
    import cv2

    return cv2.imencode(".png", image)[1].tobytes()


@dataclass(frozen=True)
class EncodedFrames:
    """Frames that are image files, of their own or in a column of bytes.

    Attributes:
        load: Indices -> the contents of their files, one after the other.
        count: Number of frames.
        size: (height, width) of the first; the others must have it, too.
        where: Of frame `index`, for messages.
        depth: Whether they are PNG files of 16 bits, else JPEG files.
    """

    load: Callable[[Sequence[int]], Iterator[bytes | NDArray[np.uint8]]]
    count: int
    size: tuple[int, int]
    where: Callable[[int], str]
    depth: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """See `FrameSource.shape`."""
        return (self.count, *self.size) if self.depth else (self.count, *self.size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `FrameSource.dtype`."""
        return np.dtype(np.uint16 if self.depth else np.uint8)

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        """See `FrameSource.read`."""
        wanted = range(self.count) if indices is None else [int(index) for index in indices]
        factor = 1 if self.depth else reduction(self.size, at_least)
        height, width = (-(-side // factor) for side in self.size)
        frames = np.empty((len(wanted), height, width, *(() if self.depth else (3,))), self.dtype)
        contents = self.load(wanted)
        for frame, index in zip(frames, wanted, strict=True):
            try:
                content = next(contents)
                pixels = decode_depth(bytes(content)) if self.depth else decode_jpeg(content, factor)
            except (OSError, ValueError) as error:
                raise DamagedEpisodeError(f"{self.where(index)} can't be read: {error}.") from error
            if pixels.shape != frame.shape:
                raise DamagedEpisodeError(
                    f"{self.where(index)} has the shape {pixels.shape} at 1/{factor} of its size; expected "
                    f"{frame.shape} as the first frame of this camera."
                )
            frame[...] = pixels
        return frames
