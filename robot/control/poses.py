"""Named joint poses of the WidowX 250 S."""

from __future__ import annotations

READY_JOINTS: tuple[float, ...] = (0.0, -0.762, 0.445, 0.0, 1.756, 0.0)
"""rad, where sessions begin: the neutral pose without its rolls. The gripper points down at (0.12, 0, 0.25) m."""
NEUTRAL_JOINTS: tuple[float, ...] = (-0.132, -0.762, 0.445, -0.020, 1.756, -0.160)
"""rad, BridgeData V2's neutral pose: gripper down at (0.120, -0.019, 0.247) m. A reference: sessions don't use it."""
SLEEP_JOINTS: tuple[float, ...] = (0.0, -1.80, 1.55, 0.0, 0.8, 0.0)
"""rad, the folded pose in which the arm rests on itself and torque may go off."""
