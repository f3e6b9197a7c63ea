"""Looking again at what looks done as time ends: the arm holds still until the judge has decided."""

from __future__ import annotations

import numpy as np

from trajectories.types import Float32

MOST_LOOKS = 5
"""Control steps at most in which the arm holds still after time is up."""


def still(executed: Float32) -> Float32:
    """The action float32 (7,) that leaves the arm where it is and its gripper as the last action (7,) had it."""
    action = np.zeros_like(executed)
    action[-1] = executed[-1]
    return action
