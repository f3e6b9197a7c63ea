"""Joint offsets and camera poses from pictures of a printed board; writes the servos' homing offsets.

Maths and files run without a camera; OpenCV is loaded where a picture is drawn or looked at. Proved in a rendered
twin with known truth and on virtual servos, not yet tried on hardware.
"""
