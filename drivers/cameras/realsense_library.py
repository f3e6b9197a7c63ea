"""pyrealsense2, loaded where it is needed."""

from __future__ import annotations

import importlib
from typing import Any

from trajectories.errors import MissingDependencyError


def load_realsense() -> Any:
    """The pyrealsense2 module.

    Raises:
        MissingDependencyError: When it, or the system library libusb that it needs, is not installed.
    """
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as error:
        raise MissingDependencyError(
            f"RealSense cameras need pyrealsense2, which does not load ({error}); run `pip install pyrealsense2` and "
            "`sudo apt-get install libusb-1.0-0`."
        ) from error
