"""Image columns: a file's bytes in every row, PNG or JPEG for colour, TIFF or PNG of 16 bits for depth.

Depth that was recorded as floating point is TIFF of float32 in m, as lerobot infers from the type; it is read in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.formats.images import reduction

if TYPE_CHECKING:
    import pyarrow as pa

_PNG_LEVEL = 3


@dataclass(frozen=True)
class ColumnFrames:
    """The frames of a camera in a table.

    Attributes:
        contents: Of the image files, (T,) binary.
        size: (height, width).
        depth: Whether they are uint16.
        where: For messages.
    """

    contents: pa.ChunkedArray
    size: tuple[int, int]
    depth: bool
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """See `FrameSource.shape`."""
        return (len(self.contents), *self.size) if self.depth else (len(self.contents), *self.size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `FrameSource.dtype`."""
        return np.dtype(np.uint16 if self.depth else np.uint8)

    def read(self, indices: Sequence[int] | None = None, at_least: tuple[int, int] | None = None) -> NDArray[Any]:
        """See `FrameSource.read`."""
        wanted = range(len(self.contents)) if indices is None else indices
        factor = 1 if self.depth else reduction(self.size, at_least)
        frames = [self._frame(int(index), factor) for index in wanted]
        size = (-(-self.size[0] // factor), -(-self.size[1] // factor))
        return np.stack(frames) if frames else np.empty((0, *size, *self.shape[3:]), self.dtype)

    def _frame(self, index: int, factor: int) -> NDArray[Any]:
        import cv2

        content = self.contents[index].as_buffer()
        flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
        how = cv2.IMREAD_UNCHANGED if self.depth else flags.get(factor, cv2.IMREAD_REDUCED_COLOR_8)
        pixels = None if content is None else cv2.imdecode(np.frombuffer(content, np.uint8), how)
        size = (-(-self.size[0] // factor), -(-self.size[1] // factor))
        if self.depth and pixels is not None and pixels.dtype == np.float32:
            pixels = np.rint(np.nan_to_num(pixels, posinf=0, neginf=0) * 1000.0).clip(0, 65535).astype(np.uint16)
        if pixels is None or pixels.shape[:2] != size or pixels.dtype != self.dtype:
            found = "can't be decoded" if pixels is None else f"is {pixels.dtype} {pixels.shape}"
            raise DamagedEpisodeError(f"Frame {index} of {self.where} {found}; expected {self.dtype} {size}.")
        return pixels if self.depth else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def encode_image(image: NDArray[Any]) -> bytes:
    """A file of one frame, without loss: PNG of uint8 (H, W, 3) RGB, TIFF of uint16 (H, W)."""
    import cv2

    if image.dtype == np.uint16:
        return cv2.imencode(".tiff", image, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    return cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])[1].tobytes()
