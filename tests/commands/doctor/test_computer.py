"""What the doctor says about packages, disk, processor, clock, rendering and ports."""

import shutil
import sys
from collections import namedtuple
from importlib import metadata
from types import SimpleNamespace

import pytest

from commands.doctor.computer import check_clock, check_disk, check_processor
from commands.doctor.graphics import check_gpu, check_rendering
from commands.doctor.packages import Wanted, check_packages, locked
from commands.doctor.port import RULES, check_port, choose_port, holders_of
from commands.doctor.report import as_json, examine, fail, ok, summary, warn
from trajectories.errors import DeviceError

LOCK = """\
numpy=={numpy} ; python_full_version < '3.12' \\
    --hash=sha256:0
numpy==9.9.9 ; python_full_version >= '3.12'
mujoco=={mujoco} \\
    --hash=sha256:1
only-on-windows==1.0 ; sys_platform == 'win32'
{more}
"""


def lock_file(tmp_path, more="", **versions):
    have = {name: metadata.version(name) for name in ("numpy", "mujoco")}
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK.format(**{**have, **versions}, more=more))
    return path


def test_lock_files_name_versions_for_several_systems():
    assert locked(LOCK.format(numpy="2.4", mujoco="3.8+cpu", more="")) == {
        "numpy": Wanted(("2.4", "9.9.9"), False),
        "mujoco": Wanted(("3.8",), True),
        "only-on-windows": Wanted(("1.0",), False),
    }


def test_packages_as_locked(tmp_path):
    assert [finding.state for finding in check_packages(lock_file(tmp_path))] == ["ok"]
    assert [finding.state for finding in check_packages(tmp_path / "none")] == ["ok"]


def test_other_versions_are_named(tmp_path):
    (finding,) = check_packages(lock_file(tmp_path, mujoco="1.2.3"))
    assert finding.state == "warn"
    assert f"mujoco {metadata.version('mujoco')} instead of 1.2.3" in finding.found
    assert "setup.sh" in finding.advice


def test_missing_packages_are_named(tmp_path):
    (finding,) = check_packages(lock_file(tmp_path, more="no-such-tool==1.0"))
    assert (finding.state, finding.found) == ("warn", "not as locked: missing: no-such-tool")


def test_a_missing_package_of_the_project_itself_fails(tmp_path, monkeypatch):
    real = metadata.version

    def version(name):
        if name == "gymnasium":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    (finding,) = check_packages(lock_file(tmp_path, more="gymnasium==1.2.0"))
    assert (finding.state, finding.found) == ("FAIL", "missing: gymnasium")


@pytest.mark.parametrize(("free_gib", "state"), [(1, "FAIL"), (5, "warn"), (50, "ok")])
def test_room_on_the_disk(tmp_path, monkeypatch, free_gib, state):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free_gib * 2**30))
    monkeypatch.setattr("commands.doctor.computer._write_speed", lambda folder: 500.0)
    (finding,) = check_disk(tmp_path / "not" / "there" / "yet")
    assert finding.state == state
    assert f"{tmp_path}: {free_gib} GiB free" in finding.found


def test_the_disk_is_left_as_it_was(tmp_path):
    (finding,) = check_disk(tmp_path)
    assert "MiB/s" in finding.found
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("commands.doctor.computer._write_speed", refuse)
    (finding,) = check_disk(tmp_path)
    assert finding.state == "FAIL"
    assert "Permission denied" in finding.found


@pytest.mark.parametrize(
    ("governor", "cores", "load", "state"),
    [
        ("performance", 8, 1.0, "ok"),
        ("powersave", 8, 1.0, "warn"),
        (None, 8, 1.0, "ok"),
        ("performance", 2, 0.5, "warn"),
        ("performance", 8, 9.0, "warn"),
    ],
)
def test_the_processor(tmp_path, monkeypatch, governor, cores, load, state):
    if governor:
        (tmp_path / "cpu0" / "cpufreq").mkdir(parents=True)
        (tmp_path / "cpu0" / "cpufreq" / "scaling_governor").write_text(f"{governor}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    (finding,) = check_processor(tmp_path)
    assert finding.state == state
    assert f"governor {governor or 'not told'}" in finding.found


def test_a_slow_clock_source(tmp_path):
    (tmp_path / "clock").write_text("hpet\n")
    (finding,) = check_clock(tmp_path / "clock")
    assert finding.state == "warn"
    assert "source hpet" in finding.found


def torch_with(available=True, free=80, error=None):
    """As much of torch as is asked, with a card of 141 GiB."""

    def ones(*_, device):
        if error:
            raise RuntimeError(error)
        return SimpleNamespace(sum=lambda: SimpleNamespace(item=lambda: 8.0))

    cuda = SimpleNamespace(
        is_available=lambda: available,
        get_device_name=lambda: "NVIDIA H200",
        mem_get_info=lambda: (free * 2**30, 141 * 2**30),
    )
    return SimpleNamespace(cuda=cuda, ones=ones, __version__="2.15")


@pytest.mark.parametrize(
    ("torch", "state", "words"),
    [
        (torch_with(available=False), "warn", "no CUDA device"),
        (torch_with(), "ok", "NVIDIA H200, 141 GiB of memory, 80 free"),
        (torch_with(free=1), "warn", "1 free"),
        (torch_with(error="no kernel image"), "FAIL", "doesn't compute: no kernel image"),
    ],
)
def test_the_graphics_processor(monkeypatch, torch, state, words):
    monkeypatch.setitem(sys.modules, "torch", torch)
    (finding,) = check_gpu()
    assert finding.state == state
    assert words in finding.found


def test_rendering_that_fails_is_told_in_a_line(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    (finding,) = check_rendering()
    assert finding.state == "FAIL"
    assert "MUJOCO_GL=nonsense failed" in finding.found
    assert "\n" not in str(finding.found)


# -- the port -------------------------------------------------------------------------------------------
def by_id(tmp_path, *names):
    folder = tmp_path / "by-id"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_an_empty_port_takes_the_only_one_there_is(tmp_path):
    path, (finding,) = choose_port(None, by_id(tmp_path, "usb-FTDI_FT4THVDH-if00-port0"))
    assert path == str(tmp_path / "by-id" / "usb-FTDI_FT4THVDH-if00-port0")
    assert finding.state == "warn"
    assert "robot.port=usb-FTDI_FT4THVDH-if00-port0" in finding.advice


def test_no_port_or_several_ports_fail(tmp_path):
    path, (finding,) = choose_port(None, tmp_path / "none")
    assert (path, finding.state) == (None, "FAIL")
    folder = by_id(tmp_path, "one", "two")
    path, (finding,) = choose_port(None, folder)
    assert (path, finding.state) == (None, "FAIL")
    assert "one, two" in finding.found
    path, (finding,) = choose_port("three", folder)
    assert (path, finding.state) == (None, "FAIL")
    assert choose_port("tw", folder) == (str(folder / "two"), [])


def process_with(tmp_path, pid, name, *devices):
    folder = tmp_path / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{name}\n")
    for number, device in enumerate(devices):
        (folder / "fd" / str(number)).symlink_to(device)
    return tmp_path / "proc"


def test_a_port_in_use_names_the_process(tmp_path):
    device = tmp_path / "ttyUSB0"
    device.touch()
    process_with(tmp_path, 41, "bash", tmp_path)
    processes = process_with(tmp_path, 42, "dynamixel_wiz", tmp_path / "log", device)
    assert holders_of(device, processes) == [(42, "dynamixel_wiz")]
    (finding,) = check_port(str(device), adapters=tmp_path, processes=processes)
    assert finding.state == "FAIL"
    assert "process 42 (dynamixel_wiz)" in finding.found
    states = [finding.state for finding in check_port(str(device), 42, tmp_path, processes)]
    assert states == ["ok", "ok"]


@pytest.mark.parametrize(("timer", "state"), [("1", "ok"), ("16", "warn"), (None, "ok")])
def test_the_latency_timer_of_the_adapter(tmp_path, timer, state):
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "link").symlink_to(tmp_path / "ttyUSB0")
    if timer:
        (tmp_path / "adapters" / "ttyUSB0").mkdir(parents=True)
        (tmp_path / "adapters" / "ttyUSB0" / "latency_timer").write_text(f"{timer}\n")
    port, latency = check_port(str(tmp_path / "link"), None, tmp_path / "adapters", tmp_path / "proc")
    assert (port.state, latency.state) == ("ok", state)
    assert state == "ok" or (f"for {timer} ms" in latency.found and str(RULES) in latency.advice)


def test_a_port_without_permission_names_the_group(tmp_path, monkeypatch):
    (tmp_path / "ttyUSB0").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr("commands.doctor.port._group", lambda device: "dialout")
    (finding,) = check_port(str(tmp_path / "ttyUSB0"))
    assert finding.state == "FAIL"
    assert "usermod -aG dialout $USER" in finding.advice


def test_the_rules_that_are_named_exist():
    text = RULES.read_text()
    assert 'ATTR{device/latency_timer}="1"' in text
    for line in text.splitlines():
        assert line.startswith("#") or not line or all("=" in part for part in line.split(", "))


# -- the list -------------------------------------------------------------------------------------------
def test_errors_of_a_check_become_a_line_and_the_list_goes_on():
    def check():
        yield ok("arm", "first")
        raise DeviceError("it broke")

    first, second = examine("arm", check)
    assert first.state == "ok"
    assert (second.state, second.found) == ("FAIL", "it broke")
    for error in (OSError("disk on fire"), ImportError("no libusb")):

        def broken(error=error):
            raise error
            yield

        (finding,) = examine("x", broken)
        assert finding.state == "FAIL"
        assert str(error) in finding.found


def test_a_line_says_what_to_do_unless_it_is_ok():
    assert str(ok("disk", "fine")) == "ok    disk         fine"
    assert str(fail("port", "gone", "Plug it in.")) == "FAIL  port         gone\n                   -> Plug it in."
    findings = [ok("a", "b"), warn("c", "d", "e"), fail("f", "g", "h")]
    assert summary(findings).startswith("1 ok, 1 to look at (warn), 1 to put right (FAIL)")
    whole = as_json("twin", findings)
    assert whole["failed"]
    assert whole["findings"][1] == {"name": "c", "state": "warn", "found": "d", "advice": "e"}
    assert not as_json("twin", findings[:2])["failed"]
