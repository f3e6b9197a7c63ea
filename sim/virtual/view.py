"""What a camera of the twin sees, drawn from a copy, so that drawing doesn't hold the physics up."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np

from sim.physics import Physics
from sim.rendering import SceneRenderer, depth_in_mm
from trajectories.types import UInt8, UInt16


class View:
    """One camera of a world that another thread steps. Use it from the one thread that draws and edits the model.

    Args:
        world: What to look at.
        lock: Held by whoever steps it.
        renderer: Of the same model.
        camera: Its name.
        size: (height, width), pixels.
    """

    def __init__(
        self,
        world: Physics,
        lock: AbstractContextManager[object],
        renderer: SceneRenderer,
        camera: str,
        size: tuple[int, int],
    ) -> None:
        self._world, self._lock, self._renderer = world, lock, renderer
        self._camera, self._size = camera, size
        self._copy = Physics(world.model, world.arm)
        self._depth = np.zeros(size, np.uint16)

    def look(self) -> UInt8:
        """The present view, uint8 (H, W, 3) RGB."""
        self._freeze()
        return self._renderer.render(self._copy, self._camera, self._size)

    def look_deep(self) -> UInt8:
        """The same, and keep the depth."""
        self._freeze()
        image, metres = self._renderer.render_deep(self._copy, self._camera, self._size)
        self._depth = depth_in_mm(metres)
        return image

    def depth(self) -> UInt16:
        """Depth of the last `look_deep`, uint16 (H, W) mm along the optical axis, 0 beyond 10 m."""
        return self._depth

    def _freeze(self) -> None:
        with self._lock:
            self._copy.copy_positions(self._world)
