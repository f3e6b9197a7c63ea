"""What is attached: RealSense cameras and V4L2 devices. Looking never raises: what is missing is said in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.cameras.realsense_library import load_realsense
from trajectories.errors import MissingDependencyError

_BY_ID = Path("/dev/v4l/by-id")
_NAMES = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class RealSenseDevice:
    """An attached RealSense camera; "?" for what it doesn't tell. `serial` goes into its settings."""

    name: str
    serial: str
    firmware: str
    usb: str


@dataclass(frozen=True)
class V4l2Device:
    """A capture device of the kernel.

    Attributes:
        device: What goes into the settings: its path below /dev/v4l/by-id, else /dev/videoN.
        node: /dev/videoN.
        name: The name that the driver gives it, "?" if none.
    """

    device: str
    node: str
    name: str


@dataclass(frozen=True)
class Attached:
    """What was found, and in `notes` what could not be looked for and why."""

    realsense: tuple[RealSenseDevice, ...]
    v4l2: tuple[V4l2Device, ...]
    notes: tuple[str, ...]


def find_cameras(by_id: Path = _BY_ID, names: Path = _NAMES, rs: Any = None) -> Attached:
    """List the cameras of this machine.

    A RealSense camera's own V4L2 nodes are in both lists; open it by its serial number. Of the two nodes of a webcam
    the one whose name ends in -video-index0 delivers images.

    Args:
        by_id: Folder of links with lasting names.
        names: The kernel's folder with one entry a node.
        rs: The pyrealsense2 module; None loads it.
    """
    realsense, note = _find_realsense(rs)
    return Attached(realsense, _find_v4l2(by_id, names), (note,) if note else ())


def _find_realsense(rs: Any) -> tuple[tuple[RealSenseDevice, ...], str | None]:
    try:
        rs = load_realsense() if rs is None else rs
        devices = list(rs.context().query_devices())
        return tuple(_describe(rs, device) for device in devices), None
    except MissingDependencyError as error:
        return (), str(error)
    except RuntimeError as error:
        return (), f"librealsense can't list its cameras ({error}); check the udev rules and who else uses them."


def _describe(rs: Any, device: Any) -> RealSenseDevice:
    def ask(what: Any) -> str:
        return device.get_info(what) if device.supports(what) else "?"

    info = rs.camera_info
    return RealSenseDevice(
        ask(info.name), ask(info.serial_number), ask(info.firmware_version), ask(info.usb_type_descriptor)
    )


def _find_v4l2(by_id: Path, names: Path) -> tuple[V4l2Device, ...]:
    lasting = {link.resolve().name: link for link in sorted(by_id.glob("*"), reverse=True)} if by_id.is_dir() else {}
    nodes = {entry.name for entry in names.glob("video*")} if names.is_dir() else set()
    return tuple(
        V4l2Device(str(lasting.get(node, f"/dev/{node}")), f"/dev/{node}", _name(names / node / "name"))
        for node in sorted(nodes | set(lasting), key=lambda node: (len(node), node))
    )


def _name(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip() or "?"
    except OSError:
        return "?"
