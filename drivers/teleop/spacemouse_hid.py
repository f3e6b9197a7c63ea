"""A SpaceMouse without a daemon, through hidapi.

Reports (JakubAndrysek/PySpaceMouse `pyspacemouse/devices.toml`): 1 translation, and on newer models rotation too; 2
rotation; 3 buttons, a bit each. Axes are int16, x right, y towards the person, z down; signs are turned here into those
of spacenavd's default, so that the same axis map fits both. Not yet tried on hardware.
"""

from __future__ import annotations

import importlib
import struct
from typing import Any

from drivers.errors import TeleopError, TeleopLostError
from drivers.teleop.controls import Report
from drivers.teleop.spacenavd import SPACE_BUTTONS
from trajectories.errors import MissingDependencyError

VENDOR_3DCONNEXION = 0x256F
VENDOR_LOGITECH = 0x046D
LOGITECH_PRODUCTS = frozenset(range(0xC603, 0xC630))
"""Older 3Dconnexion devices bear Logitech's vendor number."""
_GENERIC_DESKTOP, _MULTI_AXIS = 1, 8
_TRANSLATION, _ROTATION, _BUTTONS = 1, 2, 3
_THREE, _SIX = struct.Struct("<3h"), struct.Struct("<6h")
_LONGEST = 64
_RULE = (
    'write KERNEL=="hidraw*", ATTRS{idVendor}=="256f", TAG+="uaccess" (for older devices idVendor 046d) to '
    "/etc/udev/rules.d/70-regrasp-spacemouse.rules, run `sudo udevadm control --reload && sudo udevadm trigger`, and "
    "plug it in again."
)


def load_hid() -> Any:
    """The hid module (package hidapi, or hid).

    Raises:
        MissingDependencyError: When it, or the system library that it needs, is not installed.
    """
    try:
        return importlib.import_module("hid")
    except ImportError as error:
        raise MissingDependencyError(
            f"A SpaceMouse without spacenavd needs hidapi, which does not load ({error}); run `pip install hidapi`, or "
            "set backend: spacenavd."
        ) from error


class HidConnection:
    """A `Connection` on the first SpaceMouse.

    Args:
        hid: The hid module.
        full_scale: Value of a fully deflected axis.

    Raises:
        TeleopError: When there is none or it may not be used.
    """

    def __init__(self, hid: Any, full_scale: float) -> None:
        self.trouble: str | None = None
        self._full_scale = full_scale
        found = [device for device in hid.enumerate() if _is_spacemouse(device)]
        if not found:
            raise TeleopError(
                "There is no SpaceMouse among the HID devices; plug it in. If it is, another driver holds it (stop "
                f"spacenavd: sudo systemctl stop spacenavd) or it isn't permitted: {_RULE}"
            )
        self.where = str(found[0].get("product_string") or "SpaceMouse")
        try:
            self._device = _open(hid, found[0]["path"])
        except Exception as error:  # OSError of hidapi, HIDException of hid
            raise TeleopError(
                f"The {self.where} can't be opened ({error}); spacenavd may hold it, or it isn't permitted: {_RULE}"
            ) from error

    def read(self, timeout_s: float) -> Report | None:
        """The next report, or None.

        Raises:
            TeleopLostError: When it was unplugged.
        """
        try:
            data = bytes(self._device.read(_LONGEST, round(timeout_s * 1000)))
        except Exception as error:  # OSError of hidapi, HIDException of hid
            raise TeleopLostError(f"The {self.where} went away ({error}); plug it in again.") from error
        return decode_report(data, self._full_scale) if data else None

    def close(self) -> None:
        """Release it."""
        self._device.close()


def decode_report(data: bytes, full_scale: float) -> Report | None:
    """Controls and values of a report (its number first), None for reports without controls."""
    number, body = data[0], data[1:]
    if number == _TRANSLATION and len(body) >= _SIX.size:
        values = _SIX.unpack_from(body)
        return [*_translation(values[:3], full_scale), *_rotation(values[3:], full_scale)]
    if number == _TRANSLATION and len(body) >= _THREE.size:
        return _translation(_THREE.unpack_from(body), full_scale)
    if number == _ROTATION and len(body) >= _THREE.size:
        return _rotation(_THREE.unpack_from(body), full_scale)
    if number == _BUTTONS:
        bits = int.from_bytes(body[:4], "little")
        return [(name, float(bits >> i & 1)) for i, name in enumerate(SPACE_BUTTONS)]
    return None


def _translation(values: tuple[int, ...], full_scale: float) -> list[tuple[str, float]]:
    right, near, down = (value / full_scale for value in values)
    return [("x", right), ("y", -down), ("z", -near)]


def _rotation(values: tuple[int, ...], full_scale: float) -> list[tuple[str, float]]:
    right, near, down = (value / full_scale for value in values)
    return [("rx", right), ("ry", -down), ("rz", -near)]


def _is_spacemouse(device: dict[str, Any]) -> bool:
    vendor, product = device.get("vendor_id"), device.get("product_id")
    if vendor != VENDOR_3DCONNEXION and not (vendor == VENDOR_LOGITECH and product in LOGITECH_PRODUCTS):
        return False
    usage = device.get("usage_page"), device.get("usage")
    return usage in ((_GENERIC_DESKTOP, _MULTI_AXIS), (0, 0), (None, None))  # some systems don't tell


def _open(hid: Any, path: bytes) -> Any:
    if hasattr(hid, "device"):  # package hidapi
        device = hid.device()
        device.open_path(path)
        return device
    return hid.Device(path=path)  # package hid
