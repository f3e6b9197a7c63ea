"""Serial ports, on pseudo-terminals."""

import os
import subprocess
import sys
import time

import pytest

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.port import SerialPort, find_port
from drivers.errors import PortError, PortLostError
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.pty import PtyServer

PATIENT_S = 0.5
"""Latency that a busy machine never needs."""


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def soon(seconds=2.0):
    return time.monotonic_ns() + round(seconds * 1e9)


def test_bytes_pass_both_ways(terminal):
    master, path = terminal
    port = SerialPort(path, 1_000_000)
    port.write(b"\xff\x00\x0d\x0a\x03")
    assert os.read(master, 10) == b"\xff\x00\x0d\x0a\x03"
    os.write(master, b"\x11\x13\x0a\xff")
    assert port.read(soon()) == b"\x11\x13\x0a\xff"
    assert port.read(time.monotonic_ns()) == b""
    os.write(master, b"abcdef")
    assert port.read(soon())[:1] == b"a"
    os.write(master, b"stale")
    while not port.drain():
        pass
    port.close()
    port.close()
    with pytest.raises(PortLostError, match="closed"):
        port.write(b"x")


def test_nobody_else_can_open_it(terminal):
    port = SerialPort(terminal[1], 1_000_000)
    with pytest.raises(PortError, match="Another process"):
        SerialPort(terminal[1], 1_000_000)
    code = f"from drivers.dynamixel.port import SerialPort; SerialPort({terminal[1]!r}, 1000000)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Another process has it open" in other.stderr
    port.close()
    SerialPort(terminal[1], 1_000_000).close()


def test_ports_are_found_by_a_part_of_their_name(tmp_path):
    for name in ("usb-FTDI_U2D2_A1-if00", "usb-FTDI_U2D2_B2-if00"):
        (tmp_path / name).touch()
    assert find_port("_A1", tmp_path).endswith("usb-FTDI_U2D2_A1-if00")
    with pytest.raises(PortError, match="2 ports"):
        find_port("U2D2", tmp_path)
    with pytest.raises(PortError, match=r"no port.*usb-FTDI_U2D2_A1"):
        find_port("C3", tmp_path)
    with pytest.raises(PortError, match="no serial ports"):
        find_port("C3", tmp_path / "missing")
    with pytest.raises(PortError, match="There is no port /dev/no-such"):
        SerialPort("/dev/no-such", 1_000_000)
    with pytest.raises(PortError, match="not a serial port"):
        SerialPort(str(tmp_path / "usb-FTDI_U2D2_A1-if00"), 1_000_000)


def test_a_name_that_outlives_its_device_is_a_missing_port(tmp_path, monkeypatch):
    """Udev removes the device's node before the link in /dev/serial/by-id."""
    (tmp_path / "usb-FTDI_U2D2_A1-if00").symlink_to(tmp_path / "ttyUSB0")
    monkeypatch.setattr("drivers.dynamixel.port.find_port", lambda name: find_port(name, tmp_path))
    with pytest.raises(PortError, match=r"There is no port .*U2D2_A1"):
        SerialPort("U2D2", 1_000_000)
    (tmp_path / "ttyUSB0").symlink_to(tmp_path / "ttyUSB0")  # any other error of the file system
    with pytest.raises(PortError, match="can't be looked at"):
        SerialPort("U2D2", 1_000_000)


def test_an_unplugged_bus_says_so_and_comes_back(tmp_path):
    virtual = VirtualBus(arm_servos(), now_ns=time.monotonic_ns())
    with PtyServer(virtual, link=tmp_path / "u2d2") as server:
        bus = DynamixelBus.on(server.path, latency_s=PATIENT_S)
        bus.identify([1, 2])
        bus.write(1, "torque_enable", 1)
        server.unplug()
        for _ in range(3):
            with pytest.raises(PortLostError):
                bus.read(1, "present_position")
        with pytest.raises(PortLostError):
            bus.sync_write("goal_position", {1: 2048})
        with pytest.raises(PortError, match="no port"):
            bus.reopen()
        with pytest.raises(PortLostError):
            bus.ping(1)
        server.plug()
        bus.reopen()
        assert bus.read(1, "torque_enable") == 1
        assert bus.read(2, "torque_enable") == 0
        bus.close()


def test_unplugging_while_waiting_for_an_answer_is_noticed():
    virtual = VirtualBus(arm_servos(), now_ns=time.monotonic_ns())
    virtual.faults.dropped = 1.0
    with PtyServer(virtual) as server:
        port = SerialPort(server.path, 1_000_000)
        server.unplug()
        with pytest.raises(PortLostError, match="went away"):
            port.read(soon())
