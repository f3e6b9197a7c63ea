"""Control: from an action to joint targets within limits, and the clock, poses and calibration it needs."""
