"""Names of views: frames of a camera at another size than the robot's own, e.g. `front-224px` beside `front`."""

from __future__ import annotations

import re

_VIEW = re.compile(r"(.+)-(\d+)px")


def view_name(camera: str, size: int) -> str:
    """The name of a camera's view of `size` x `size` pixels."""
    return f"{camera}-{size}px"


def camera_of(name: str) -> str:
    """The camera of a view; a camera itself."""
    found = _VIEW.fullmatch(name)
    return found[1] if found else name


def size_of(name: str, otherwise: int) -> int:
    """Height and width of a view, pixels; `otherwise` for a camera itself."""
    found = _VIEW.fullmatch(name)
    return int(found[2]) if found else otherwise
