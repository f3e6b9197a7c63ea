"""`regrasp doctor` as a person runs it."""

import json
import re

import pytest
from helpers import ROOT
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.doctor.doctor import _virtual, look, run
from commands.doctor.report import warn
from drivers.cameras.watchdog import State
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import servo_map
from drivers.widowx.guard import ADVICE
from drivers.widowx.settings import ArmSettings
from factory.cameras import camera_settings, virtual_cameras
from factory.spec import plain, spec_of
from robot.control.safety_limits import SafetyLimits
from sim.virtual.client import WorldCamera
from trajectories.errors import ConfigError
from trajectories.settings import merged

COMPUTER = {"python", "packages", "gpu", "rendering", "disk", "processor", "threads", "clock"}
SERVOS = {"port", "latency", "servos", "models", "errors", "temperature", "voltage", "torque", "settings", "pairs"}


WEBCAM = WorldCamera("uvc", "front.cam", (96, 96), 15.0)


def composed(*overrides):
    OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
    with initialize_config_module("configs", version_base="1.3"):
        return compose("doctor", list(overrides))


def test_without_devices_the_list_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("commands.doctor.doctor.check_gpu", lambda: [warn("gpu", "none", "Buy one.")])
    nowhere = "/dev/no-such-port"
    serial = "robot.cameras.front.serial='000'"
    files = f"run_dir={tmp_path}", f"doctor.json={tmp_path}/found"
    with pytest.raises(SystemExit) as left:
        run(composed("robot=widowx", f"robot.port={nowhere}", serial, *files))
    assert left.value.code == 1
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "found").read_text())
    assert found["failed"]
    findings = {finding["name"]: finding for finding in found["findings"]}
    assert COMPUTER | {"priority", "port", "front", "gamepad"} <= set(findings)
    assert nowhere in findings["port"]["found"]
    assert "no camera of kind realsense with serial 000 is attached" in findings["front"]["found"]
    for finding in found["findings"]:
        assert bool(finding["advice"]) == (finding["state"] != "ok"), finding
        assert finding["found"] in said
        assert finding["advice"] in said


def test_the_virtual_arm_is_looked_at_by_the_same_checks():
    config = composed("robot=virtual", "doctor.seconds=0.5", "+robot.cameras.wrist={kind: realsense, depth: true}")
    found = {finding.name: finding for finding in _virtual(config)}
    assert SERVOS | {"world", "line", "front", "wrist", "wrist depth", "skew"} == set(found)
    assert re.match(r"\d+% of the pixels measured, 0\.\d\d \.\.\. \d\.\d\d m", found["wrist depth"].found)
    assert "ms between the cameras' newest frames" in found["skew"].found
    assert {name: found[name] for name in SERVOS if found[name].state != "ok"} == {}
    assert "15 frames/s" in found["front"].found


def test_depth_of_a_camera_that_has_none_is_refused():
    with pytest.raises(ConfigError, match=r"robot\.cameras\.front\.depth=true needs a camera with depth"):
        virtual_cameras(composed("robot=virtual", "+robot.cameras.front.depth=true"), {"front": WEBCAM})


def test_an_unknown_robot_is_refused():
    config = composed()
    config.robot.name = "toaster"
    with pytest.raises(ConfigError, match="twin, virtual, widowx"):
        list(look(config))


def test_the_settings_of_the_real_arm_are_understood_by_the_drivers():
    config = composed("robot=widowx", "robot.cameras.front.serial='012345'")
    robot = config.robot
    camera = camera_settings("front", robot.cameras.front, int(robot.image_size))
    assert (camera.source.serial, camera.source.resolution, camera.window) == ("012345", (480, 640), (0, 80, 480, 480))
    assert servo_map(robot.model).name == "wx250s"
    assert merged(ArmSettings(), plain(robot.arm), "robot.arm") == ArmSettings()
    assert merged(SafetyLimits(), plain(robot.limits), "robot.limits") == SafetyLimits()
    assert spec_of(config) == spec_of(composed("robot=twin")) == spec_of(composed("robot=virtual"))


def test_every_fault_in_the_manual_is_one_that_the_drivers_can_report():
    source = " ".join(path.read_text() for path in (ROOT / "drivers").rglob("*.py"))
    said = re.sub(r'"\s+f?"', "", source) + " ".join(f"reports {bit.name.lower()}" for bit in HardwareError)
    said += " ".join(f"is {state}, {state}" for state in State)
    table = (ROOT / "docs" / "hardware.md").read_text().split("| the message says |")[1].split("\n\n")[0]
    quoted = [text for row in table.splitlines()[2:] for text in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(quoted) >= 20
    for text in quoted:
        for piece in text.split(" … "):
            assert piece.removesuffix(" …") in said, text
    advised = {bit.name.lower() for bit in ADVICE}
    assert {text.removeprefix("reports ") for text in quoted if text.startswith("reports ")} == advised
