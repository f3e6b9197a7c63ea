"""A camera's frames at another size, for whoever wants other pixels than it was opened for."""

from __future__ import annotations

from dataclasses import replace

from drivers.cameras.fitting import fit_colour, fit_depth, window
from robot.interfaces import Camera, Frame


class CameraView:
    """A camera behind the same interface, shrunk; the device stays whoever's it is."""

    def __init__(self, camera: Camera, size: tuple[int, int]) -> None:
        """Show a camera with (height, width) pixels, no more than it has."""
        self._camera, self._size = camera, size

    def latest(self, max_age_ns: int) -> Frame:
        """The newest frame, each pixel the mean of the area that it covers.

        Raises:
            StaleDataError: When it is older than `max_age_ns`.
            ConfigError: When the camera has fewer pixels.
        """
        frame = self._camera.latest(max_age_ns)
        part = window((frame.image.shape[0], frame.image.shape[1]), self._size, None)
        depth = None if frame.depth is None else fit_depth(frame.depth, self._size, part)
        return replace(frame, image=fit_colour(frame.image, self._size, part), depth=depth)
