"""List what is attached: RealSense cameras and V4L2 devices. Looking never raises: what is missing is said in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.cameras.realsense_library import load_realsense
from trajectories.errors import MissingDependencyError

_BY_ID = Path("/dev/v4l/by-id")
_NAMES = Path("/sys/class/video4linux")
_USB3 = "Use a USB 3 port and cable without a hub, and push the plug in all the way."


@dataclass(frozen=True)
class AttachedCamera:
    """A camera that this computer sees.

    Attributes:
        device: The setting that chooses it: a serial number, a path below /dev/v4l/by-id.
        description: For people.
        problem: Why it won't do the way it is attached; empty when it will.
        advice: What to do about that.
    """

    device: str
    description: str
    problem: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Attached:
    """The attached cameras of one kind, or in `note` why none could be looked for."""

    cameras: tuple[AttachedCamera, ...] = ()
    note: str = ""

    def named(self, device: str) -> AttachedCamera | None:
        """The camera that this setting chooses, or None."""
        return next((camera for camera in self.cameras if camera.device == device), None)


def find_realsense(rs: Any = None) -> Attached:
    """List the RealSense cameras of this machine, "?" for what one doesn't tell.

    Args:
        rs: The pyrealsense2 module; None loads it.
    """
    try:
        rs = load_realsense() if rs is None else rs
        return Attached(tuple(_describe(rs, device) for device in rs.context().query_devices()))
    except MissingDependencyError as error:
        return Attached(note=str(error))
    except RuntimeError as error:
        return Attached(
            note=f"librealsense can't list its cameras ({error}); check the udev rules and who else uses them."
        )


def _describe(rs: Any, device: Any) -> AttachedCamera:
    def ask(what: Any) -> str:
        return device.get_info(what) if device.supports(what) else "?"

    info = rs.camera_info
    serial, usb = ask(info.serial_number), ask(info.usb_type_descriptor)
    found = f"{ask(info.name)}, serial {serial}, firmware {ask(info.firmware_version)}, USB {usb}"
    if usb.startswith(("1", "2")):
        return AttachedCamera(serial, found, f"on USB {usb}", _USB3)
    return AttachedCamera(serial, found)


def find_v4l2(by_id: Path = _BY_ID, names: Path = _NAMES) -> Attached:
    """List the capture devices of the kernel by their paths below /dev/v4l/by-id, else as /dev/videoN.

    A RealSense camera's own V4L2 nodes are among them; open that one by its serial number. Of the two nodes of a webcam
    the one whose name ends in -video-index0 delivers images.

    Args:
        by_id: Folder of links with lasting names.
        names: The kernel's folder with one entry a node.
    """
    lasting = {link.resolve().name: link for link in sorted(by_id.glob("*"), reverse=True)} if by_id.is_dir() else {}
    nodes = {entry.name for entry in names.glob("video*")} if names.is_dir() else set()
    found = []
    for node in sorted(nodes | set(lasting), key=lambda node: (len(node), node)):
        device = str(lasting.get(node, f"/dev/{node}"))
        found.append(AttachedCamera(device, f"{_name(names / node / 'name')}: {device}"))
    return Attached(tuple(found))


def _name(path: Path) -> str:
    try:
        return path.read_text(errors="replace", encoding="utf-8").strip() or "?"
    except OSError:
        return "?"
