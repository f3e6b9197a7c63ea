"""`ProprioScaling`: proprioception to about zero mean and unit deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajectories.types import Float32

LARGEST = 5.0
"""Scaled entries are clipped to +- this."""
_SMALLEST_DEVIATION = 0.01
_NEVER_KNOWN = float(np.finfo(np.float32).max)
"""Deviation of an entry that nothing is known of."""


@dataclass(frozen=True)
class ProprioScaling:
    """Affine map of proprioception to about zero mean and unit deviation.

    Attributes:
        mean: float32 (P,).
        deviation: float32 (P,), at least 0.01 of the entry's unit; float32's largest number for an entry that no frame
            had, which is 0 then whatever is measured.
    """

    mean: Float32
    deviation: Float32

    @classmethod
    def fit(cls, proprio: Float32) -> ProprioScaling:
        """Statistics of float32 (N, P) frames, each entry's over the frames in which it isn't missing (NaN)."""
        values = proprio.astype(np.float64)
        known = ~np.isnan(values)
        never = ~known.any(axis=0)
        values[:, never], known[:, never] = 0.0, True
        deviation = np.maximum(values.std(axis=0, where=known), _SMALLEST_DEVIATION)
        deviation[never] = _NEVER_KNOWN
        return cls(values.mean(axis=0, where=known).astype(np.float32), deviation.astype(np.float32))

    def apply(self, proprio: Float32) -> Float32:
        """float32 (..., P), clipped to +-5 deviations; NaN stays NaN but where no frame had the entry: that is 0."""
        scaled = (np.asarray(proprio, dtype=np.float32) - self.mean) / self.deviation
        return np.where(self.deviation == _NEVER_KNOWN, np.float32(0.0), np.clip(scaled, -LARGEST, LARGEST))
