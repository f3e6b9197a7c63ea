"""The SpaceMouse through a faked spacenavd and through a faked hidapi."""

import struct
from types import SimpleNamespace

import pytest
from helpers.fake_input import ADDED, REMOVED, FakeSpacenavd, ManualTime, wait_for

from drivers.errors import TeleopError
from drivers.teleop.controls import ControlsConfig
from drivers.teleop.keys import Key
from drivers.teleop.motion import Motion
from drivers.teleop.spacemouse import SpaceMouseConfig, spacemouse
from drivers.teleop.spacemouse_hid import decode_report
from drivers.teleop.spacenavd import SpacenavdConnection
from drivers.teleop.status import State
from trajectories.errors import MissingDependencyError
from trajectories.settings import merged

FULL = {"response": {"dead_zone": 0.0, "expo": 0.0, "coarse": 1.0, "fine": 1.0}}


def config(path="/nowhere", **settings):
    raw = {"socket": str(path), "controls": FULL, "reconnect_s": 0.01}
    return merged(SpaceMouseConfig(), raw | settings, "spacemouse")


def after(device, count):
    wait_for(lambda: device.status.events >= count)
    return device.latest()


@pytest.fixture
def rig(tmp_path):
    daemon, time = FakeSpacenavd(tmp_path / "spnav.sock"), ManualTime()
    with spacemouse(config(daemon.path), clock=time) as device:
        device.start()
        yield SimpleNamespace(daemon=daemon, device=device, time=time)
    daemon._server.close()


@pytest.mark.parametrize(
    ("pushed", "rates"),
    [
        ({"z": 350}, (1, 0, 0, 0, 0, 0)),  # away from the person: forward
        ({"x": 350}, (0, -1, 0, 0, 0, 0)),  # to the right
        ({"y": 175}, (0, 0, 0.5, 0, 0, 0)),  # up
        ({"rz": 350}, (0, 0, 0, 1, 0, 0)),
        ({"rx": 350}, (0, 0, 0, 0, -1, 0)),
        ({"ry": -700}, (0, 0, 0, 0, 0, -1)),  # beyond full scale
    ],
)
def test_the_cap_drives_the_arm_as_seen_from_behind_it(rig, pushed, rates):
    rig.daemon.motion(**pushed)
    motion = after(rig.device, 1)
    assert motion.rates == pytest.approx(rates)
    assert motion.active


def test_buttons_are_keys(rig):
    rig.daemon.button(0, True)
    rig.daemon.button(0, False)
    rig.daemon.button(1, True)
    rig.daemon.button(0, True)
    after(rig.device, 4)
    assert rig.device.pressed() == [Key.GRIPPER, Key.SUCCESS, Key.GRIPPER]


def test_a_cap_that_falls_silent_while_deflected_holds(rig):
    rig.daemon.motion(z=350)
    assert after(rig.device, 1).active
    rig.time.advance(0.5)
    assert rig.device.latest().active
    rig.time.advance(0.01)
    motion = rig.device.latest()
    assert (motion.active, motion.rates) == (False, (0.0,) * 6)
    assert "holds" in motion.problem
    rig.daemon.motion(z=0)
    assert after(rig.device, 2).problem is None


def test_unplugged_from_the_daemon(rig):
    rig.daemon.motion(z=350)
    assert after(rig.device, 1).active
    rig.daemon.device(REMOVED)
    wait_for(lambda: rig.device.latest().problem is not None)
    assert "unplugged" in rig.device.latest().problem
    assert rig.device.status.problem in rig.device.latest().problem
    rig.daemon.device(ADDED)
    wait_for(lambda: rig.device.latest().problem is None)
    assert not rig.device.latest().active  # what it said before the plug was pulled is forgotten
    rig.daemon.motion(z=350)
    assert after(rig.device, 2).active


def test_a_daemon_that_stops_is_found_again(rig):
    rig.daemon.motion(z=350)
    assert after(rig.device, 1).active
    rig.daemon.stop()
    wait_for(lambda: rig.device.status.state is State.LOST)
    wait_for(lambda: "systemctl start spacenavd" in rig.device.latest().problem)
    assert not rig.device.latest().active
    rig.daemon.start()
    wait_for(lambda: rig.device.status.state is State.CONNECTED)
    assert rig.device.latest() == Motion(t_ns=rig.time.ns)
    rig.daemon.motion(x=-350)
    assert after(rig.device, 2).dy == pytest.approx(1.0)


def test_nonsense_from_the_socket_is_a_lost_device(rig):
    rig.daemon.send(99)
    wait_for(lambda: rig.device.status.state is State.LOST)
    assert "type 99" in rig.device.latest().problem


def test_an_old_daemon_gets_its_sensitivity_back(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.teleop.spacenavd._ANSWER_S", 0.02)
    daemon = FakeSpacenavd(tmp_path / "spnav.sock", old=True)
    with spacemouse(config(daemon.path)) as device:
        device.start()
        wait_for(lambda: daemon.received[4:] == struct.pack("=f", 1.0))
        daemon.motion(z=-(2**31))  # what a sensitivity that is no number makes of a deflection
        daemon.motion(z=35)
        assert after(device, 1).dx == pytest.approx(0.1)
        assert device.status.events == 1


def test_a_daemon_with_protocol_1_is_sent_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.teleop.spacenavd._ANSWER_S", 0.02)
    daemon = FakeSpacenavd(tmp_path / "spnav.sock")
    connection = SpacenavdConnection(daemon.path, 350.0)
    daemon.motion(z=350)
    wait_for(lambda: connection.read(0.1) is not None)
    monkeypatch.setattr(connection, "_answer_by", 0.0)
    connection.read(0.01)
    connection.close()
    assert len(daemon.received) == 4


def test_events_may_come_in_pieces_and_before_the_answer(tmp_path):
    daemon = FakeSpacenavd(tmp_path / "spnav.sock", old=True)
    connection = SpacenavdConnection(daemon.path, 100.0)
    wait_for(lambda: daemon.client is not None)
    event = struct.pack("=8i", 0, 10, 20, 30, 40, 50, 60, 8)
    answer = struct.pack("=I", 0x7FAA5501)
    daemon.client.sendall(event + answer + event[:5])
    values = [("x", 0.1), ("y", 0.2), ("z", 0.3), ("rx", 0.4), ("ry", 0.5), ("rz", 0.6)]
    assert connection.read(1.0) == values
    assert connection.read(0.0001) is None
    daemon.client.sendall(event[5:])
    assert connection.read(1.0) == values
    connection.close()


def test_no_daemon_says_how_to_start_one(tmp_path):
    with pytest.raises(TeleopError, match="apt-get install spacenavd"):
        spacemouse(config(tmp_path / "none.sock")).start()


def test_the_socket_is_found_by_its_variable(tmp_path, monkeypatch):
    daemon = FakeSpacenavd(tmp_path / "elsewhere.sock")
    monkeypatch.setenv("SPNAV_SOCKET", daemon.path)
    with spacemouse(config("auto")) as device:
        device.start()
        assert daemon.path in device.status.where


# ---- hidapi ---------------------------------------------------------------------------------------------------


class FakeHid:
    """Either package that calls itself hid, with one SpaceMouse (or none) and reports to give."""

    def __init__(self, package, devices=None):
        self.reports, self.gone, self.closed = [], False, 0
        mouse = {"vendor_id": 0x256F, "product_id": 0xC635, "path": b"/dev/hidraw3", "usage_page": 1, "usage": 8}
        self.devices = [mouse | {"product_string": "SpaceMouse Compact"}] if devices is None else devices
        if package == "hidapi":
            self.device = lambda: self
        else:
            self.Device = self._open

    def _open(self, path):
        assert path == b"/dev/hidraw3"
        return self

    def open_path(self, path):
        self._open(path)

    def enumerate(self):
        return self.devices

    def read(self, size, timeout):
        if self.gone:
            raise OSError("read error")
        return list(self.reports.pop(0)) if self.reports else []

    def close(self):
        self.closed += 1


def test_reports_become_controls():
    three = struct.pack("<3h", 350, -350, 70)
    assert decode_report(b"\x01" + three, 350) == [("x", 1.0), ("y", -0.2), ("z", 1.0)]
    assert decode_report(b"\x02" + three, 350) == [("rx", 1.0), ("ry", -0.2), ("rz", 1.0)]
    six = decode_report(b"\x01" + three + struct.pack("<3h", 35, 0, 0), 350)
    assert dict(six)["rx"] == 0.1
    assert dict(six)["z"] == 1.0
    buttons = dict(decode_report(b"\x03\x02\x00\x00\x80", 350))
    assert [name for name, value in buttons.items() if value] == ["BUTTON_1", "BUTTON_31"]
    assert decode_report(b"\x17\x64", 350) is None  # battery
    assert decode_report(b"\x01\x00", 350) is None  # cut short


@pytest.mark.parametrize("package", ["hidapi", "hid"])
def test_through_hidapi_with_reconnect(package):
    hid = FakeHid(package)
    with spacemouse(config(backend="hid"), hid=hid) as device:
        device.start()
        assert device.status.where == "SpaceMouse Compact"
        hid.reports.append(b"\x01" + struct.pack("<3h", 0, -350, 0))
        hid.reports.append(b"\x03\x01\x00\x00")
        assert after(device, 2).dx == pytest.approx(1.0)
        assert device.pressed() == [Key.GRIPPER]
        hid.gone = True
        wait_for(lambda: device.status.state is State.LOST)
        assert "plug it in" in device.latest().problem
        assert hid.closed == 1
        hid.gone = False
        wait_for(lambda: device.status.state is State.CONNECTED)
        assert not device.latest().active


def test_hid_errors_say_what_to_do(monkeypatch):
    other = {"vendor_id": 0x046D, "product_id": 0xC077, "path": b"m", "usage_page": 1, "usage": 2}  # a plain mouse
    keys = {"vendor_id": 0x256F, "product_id": 0xC635, "path": b"k", "usage_page": 1, "usage": 6}
    with pytest.raises(TeleopError, match=r"no SpaceMouse among.*70-regrasp-spacemouse\.rules"):
        spacemouse(config(backend="hid"), hid=FakeHid("hid", [other, keys])).start()
    hid = FakeHid("hidapi")
    monkeypatch.setattr(hid, "open_path", lambda path: (_ for _ in ()).throw(OSError("open failed")))
    with pytest.raises(TeleopError, match=r"Compact can't be opened \(open failed\).*udevadm"):
        spacemouse(config(backend="hid"), hid=hid).start()
    monkeypatch.setitem(__import__("sys").modules, "hid", None)
    with pytest.raises(MissingDependencyError, match="pip install hidapi"):
        spacemouse(config(backend="hid")).start()


def test_the_meaning_of_the_controls_is_configurable(tmp_path):
    daemon = FakeSpacenavd(tmp_path / "s")
    opposite = ControlsConfig(axes={"dx": "-z"}, keys={"BUTTON_1": "emergency hold"}, enable="BUTTON_0")
    with spacemouse(SpaceMouseConfig(socket=daemon.path, controls=opposite)) as device:
        device.start()
        daemon.motion(z=350)
        daemon.button(1, True)
        assert not after(device, 2).active
        assert device.pressed() == [Key.HOLD]
        daemon.button(0, True)
        assert after(device, 3).dx == pytest.approx(-0.6)
