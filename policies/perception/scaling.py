"""`ProprioScaling`: proprioception to about zero mean and unit deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.errors import ConfigError
from trajectories.types import Float32

LARGEST = 5.0
"""Scaled entries are clipped to +- this."""
_SMALLEST_DEVIATION = 0.01


@dataclass(frozen=True)
class ProprioScaling:
    """Affine map of proprioception to about zero mean and unit deviation.

    Attributes:
        mean: float32 (P,).
        deviation: float32 (P,), at least 0.01 of the entry's unit.
    """

    mean: Float32
    deviation: Float32

    @classmethod
    def fit(cls, proprio: Float32) -> ProprioScaling:
        """Statistics of float32 (N, P) frames, each entry's over the frames in which it isn't missing (NaN).

        Raises:
            ConfigError: An entry is missing in every frame.
        """
        values = proprio.astype(np.float64)
        known = ~np.isnan(values)
        never = np.flatnonzero(~known.any(axis=0)).tolist()
        if never:
            raise ConfigError(
                f"No frame to learn from has the entries {never} of the proprioception (counted from 0), so that "
                "nothing says how large they are. Record demonstrations with the robot that is to act."
            )
        deviation = np.maximum(values.std(axis=0, where=known), _SMALLEST_DEVIATION)
        return cls(values.mean(axis=0, where=known).astype(np.float32), deviation.astype(np.float32))

    def apply(self, proprio: Float32) -> Float32:
        """float32 (..., P), clipped to +-5 deviations; NaN stays NaN."""
        scaled = (np.asarray(proprio, dtype=np.float32) - self.mean) / self.deviation
        return np.clip(scaled, -LARGEST, LARGEST)
