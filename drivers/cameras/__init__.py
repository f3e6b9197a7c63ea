"""Cameras of the real robot: each in a process of its own that can be killed, frames through shared memory.

Open one with `ProcessCamera` (camera.py) from a `CameraConfig` (config.py); the kinds there are and
what is attached of each: `registry.py`.
Not yet tried on hardware: everything here is tested with librealsense's software device and MJPG files.
"""
