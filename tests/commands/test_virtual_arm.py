"""What `regrasp virtual-arm` starts and prints."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import ROOT
from hydra import compose, initialize_config_module

from commands.virtual_arm import announcement, run
from factory.virtual_robot import world_settings
from sim.virtual.world_settings import WorldSettings
from trajectories.errors import ConfigError


def composed(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("virtual_arm", list(overrides))


def test_settings_reach_the_world():
    assert world_settings(composed()) == WorldSettings("pot_pick_place")
    chosen = composed(
        "task=bin_weight", "seed=3", "robot.fps=30", "robot.wire=true", "+robot.cameras.wrist={kind: realsense}",
        "robot.image_size=64", "robot.randomise=false", "robot.spread=narrow",
    )  # fmt: skip
    cameras = {"front": "uvc", "wrist": "realsense"}
    assert world_settings(chosen) == WorldSettings("bin_weight", 3, cameras, 64, False, "narrow", 30.0, True)


def test_it_says_where_to_connect():
    world = SimpleNamespace(
        settings=WorldSettings("bin_weight", 3),
        folder="/tmp/x",
        port="/tmp/x/arm",
        cameras={"front": SimpleNamespace(device="/tmp/x/front.cam")},
    )
    text = announcement(world)
    assert "/tmp/x/arm" in text
    assert "front (uvc): /tmp/x/front.cam" in text
    assert "with the other settings of your run (profile=, " in text
    assert "regrasp finetune task=bin_weight seed=3 robot=virtual robot.world=/tmp/x" in text


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="robot=virtual"):
        run(composed("robot=twin"))
    with pytest.raises(ConfigError, match="every"):
        run(composed("every=0"))
    with pytest.raises(ConfigError, match="folder"):
        run(composed("robot.world=/tmp/x"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_behind_when_it_is_ended(tmp_path, number):
    command = [sys.executable, "-m", "commands", "virtual-arm", "robot.image_size=32"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline().startswith(b"The virtual arm is up")
        assert list(tmp_path.glob("regrasp-*"))
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 130, complaints
        assert list(tmp_path.glob("regrasp-*")) == []
    finally:
        process.kill()
        process.communicate()
