"""`regrasp doctor` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.device_stations import _camera
from commands.doctor import _virtual, look
from commands.specs import plain, spec_of
from drivers.widowx.models import model_named
from drivers.widowx.settings import ArmSettings
from robot.safety_limits import SafetyLimits
from trajectories.errors import ConfigError
from trajectories.settings import merged

ROOT = Path(__file__).resolve().parents[2]
COMPUTER = {"python", "packages", "gpu", "rendering", "disk", "processor", "clock"}
SERVOS = {"port", "latency", "servos", "models", "errors", "temperature", "voltage", "torque", "settings", "pairs"}


def composed(*overrides):
    OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
    with initialize_config_module("configs", version_base="1.3"):
        return compose("doctor", list(overrides))


def test_without_devices_the_list_says_what_to_do(tmp_path):
    nowhere = "/dev/no-such-port"
    serial = "robot.cameras.front.serial='000'"
    arguments = [
        "robot=widowx",
        f"robot.port={nowhere}",
        serial,
        f"run_dir={tmp_path}",
        f"doctor.json={tmp_path}/found",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "commands", "doctor", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    assert done.returncode == 1
    assert found["failed"]
    findings = {finding["name"]: finding for finding in found["findings"]}
    assert COMPUTER | {"priority", "port", "front", "gamepad"} <= set(findings)
    assert nowhere in findings["port"]["found"]
    assert "serial number 000" in findings["front"]["found"]
    for finding in found["findings"]:
        assert bool(finding["advice"]) == (finding["state"] != "ok"), finding
        assert finding["found"] in done.stdout
        assert finding["advice"] in done.stdout


def test_the_virtual_arm_is_looked_at_by_the_same_checks():
    found = {finding.name: finding for finding in _virtual(composed("robot=virtual", "doctor.seconds=0.5"))}
    assert SERVOS | {"world", "line", "front"} == set(found)
    assert {name: found[name] for name in SERVOS if found[name].state != "ok"} == {}
    assert "15 frames/s" in found["front"].found


def test_an_unknown_robot_is_refused():
    config = composed()
    config.robot.name = "toaster"
    with pytest.raises(ConfigError, match="twin, virtual, widowx"):
        list(look(config))


def test_the_settings_of_the_real_arm_are_understood_by_the_drivers():
    config = composed("robot=widowx", "robot.cameras.front.serial='012345'")
    robot = config.robot
    camera = _camera("front", robot.cameras.front, int(robot.image_size))
    assert (camera.source.serial, camera.source.resolution, camera.window) == ("012345", (480, 640), (0, 80, 480, 480))
    assert model_named(robot.model).name == "wx250s"
    assert merged(ArmSettings(), plain(robot.arm), "robot.arm") == ArmSettings()
    assert merged(SafetyLimits(), plain(robot.limits), "robot.limits") == SafetyLimits()
    assert spec_of(config) == spec_of(composed("robot=twin")) == spec_of(composed("robot=virtual"))
