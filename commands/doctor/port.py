"""The arm's serial port: which, permitted, free, and how long its adapter keeps bytes back. Nothing is opened."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path

import drivers
from commands.doctor.report import Finding, fail, ok, warn
from drivers.dynamixel.port import BY_ID, find_port
from drivers.errors import PortError

RULES = Path(drivers.__file__).parent / "udev" / "70-regrasp.rules"
INSTALL_RULES = (
    f"`sudo cp {RULES} /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger`, then plug it in "
    "again."
)
_ADAPTERS = Path("/sys/bus/usb-serial/devices")
_PROCESSES = Path("/proc")
_PLUG = "Plug the U2D2's USB cable in and switch the arm's power on; `ls /dev/serial/by-id` should then show it."


def choose_port(name: str | None, by_id: Path = BY_ID) -> tuple[str | None, list[Finding]]:
    """Path of the port that the settings mean, None when that isn't clear; and what to say about it.

    Args:
        name: `robot.port`; without one the only port there is.
        by_id: Folder of lasting names.
    """
    if name:
        try:
            return find_port(name, by_id), []
        except PortError as error:
            return None, [fail("port", str(error), _PLUG)]
    there = sorted(by_id.glob("*")) if by_id.is_dir() else []
    if len(there) == 1:
        advice = f"The doctor uses it. For sessions say so: robot.port={there[0].name}"
        return str(there[0]), [warn("port", f"robot.port is empty; there is {there[0].name}", advice)]
    if not there:
        return None, [fail("port", f"robot.port is empty and there is no serial port in {by_id}", _PLUG)]
    names = ", ".join(path.name for path in there)
    return None, [fail("port", f"robot.port is empty; there are {names}", "Say which is the arm: robot.port=NAME")]


def check_port(
    path: str, server: int | None = None, adapters: Path = _ADAPTERS, processes: Path = _PROCESSES
) -> Iterator[Finding]:
    """Permission, other users and the adapter's latency timer.

    Args:
        path: Of the port.
        server: Process at the other end of a virtual port, which has it open as well.
        adapters: The kernel's folder of USB serial adapters.
        processes: The kernel's folder of processes.
    """
    device = Path(path).resolve()
    if not os.access(device, os.R_OK | os.W_OK):
        group = _group(device)
        yield fail(
            "port",
            f"{path} ({device}) may not be used by this user; it belongs to the group {group}",
            f"`sudo usermod -aG {group} $USER`, then log in again.",
        )
        return
    holders = [(pid, name) for pid, name in holders_of(device, processes) if pid != server]
    if holders:
        who = ", ".join(f"process {pid} ({name})" for pid, name in holders)
        yield fail(
            "port", f"{path} is in use by {who}", "End that program first: a session, DYNAMIXEL Wizard, a ROS node."
        )
        return
    yield ok("port", f"{path}" + ("" if path == str(device) else f" ({device})"))
    yield from _check_latency(device, adapters)


def _check_latency(device: Path, adapters: Path) -> Iterator[Finding]:
    timer = adapters / device.name / "latency_timer"
    if not timer.is_file():
        yield ok("latency", "no FTDI latency timer on this port")
        return
    value = timer.read_text(encoding="utf-8").strip()
    if value == "1":
        yield ok("latency", "the adapter passes bytes on after 1 ms")
    else:
        yield warn(
            "latency",
            f"the adapter keeps bytes back for {value} ms; Regrasp asks for 1 ms when it opens the port, others don't",
            INSTALL_RULES,
        )


def holders_of(device: Path, processes: Path = _PROCESSES) -> list[tuple[int, str]]:
    """Id and name of every other process that has a device open, as far as this user may see."""
    found = []
    for folder in processes.glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            links = [os.readlink(link) for link in (folder / "fd").iterdir()]
            if str(device) in links:
                found.append((int(folder.name), (folder / "comm").read_text(encoding="utf-8").strip()))
        except OSError:  # another user's, or it ended meanwhile
            continue
    return sorted(found)


def _group(device: Path) -> str:
    number = device.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
