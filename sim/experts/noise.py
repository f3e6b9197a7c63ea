"""Action noise of a scripted person: how unsteady the hand is, and where it takes more care."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.types import Float32


@dataclass(frozen=True)
class ActionNoise:
    """Gaussian noise on actions, in units of the action range.

    Attributes:
        scale: Standard deviation of the x, y, z and yaw entries; 0.3 is an unsteady hand.
        careful: Factor while grasping and placing.
        tilt: Factor of the roll and pitch entries, which demonstrations hardly use.
    """

    scale: float = 0.0
    careful: float = 0.25
    tilt: float = 0.1

    def apply(self, action: Float32, rng: np.random.Generator, *, careful: bool) -> Float32:
        """A noisy copy of `action` (7,), clipped to [-1, 1]; the gripper entry stays.

        Args:
            action: float32 (7,).
            rng: Where the noise comes from.
            careful: Whether the hand is grasping or placing.
        """
        sigma = self.scale * (self.careful if careful else 1.0)
        weights = np.array([1.0, 1.0, 1.0, self.tilt, self.tilt, 1.0, 0.0])
        noisy = action + sigma * weights * rng.standard_normal(7)
        return np.clip(noisy, -1.0, 1.0).astype(np.float32)
