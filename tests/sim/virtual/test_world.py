"""The virtual robot as a process, through the drivers of the real one."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.widowx_setup import clear

from drivers.cameras.camera import ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.uvc import UvcConfig
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from robot.arms.wx250s import WX250S as ARM
from robot.control.kinematics import Kinematics
from robot.control.poses import READY_JOINTS
from sim.twin import make_twin
from sim.virtual.client import VirtualWorld
from sim.virtual.world_settings import WorldSettings
from trajectories.errors import DeviceError
from trajectories.types import Command

SETTINGS = WorldSettings("pot_pick_place", seed=4, cameras={"front": "uvc", "wrist": "realsense"}, fps=10)
PATIENT = ArmSettings(rate_hz=50, watchdog_units=127, max_age_s=5.0, command_timeout_s=60.0, on_close="hold")
LONG = 60_000_000_000


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return value


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


@pytest.fixture(scope="module")
def world():
    with VirtualWorld.start(SETTINGS) as started:
        yield started
    assert not alive(started.pid)
    assert not started.folder.exists()


@pytest.fixture(scope="module")
def arm(world):
    """The driver on its port, awake."""
    assert not any(world.state()["torque"].values())
    arm = WidowX.connect(world.port, settings=PATIENT)
    move(arm, READY_JOINTS, 0.044)
    until(lambda: np.abs(arm.read().joints - READY_JOINTS).max() < 0.02)
    yield arm
    arm.close()
    assert "TORQUE ON" in arm.farewell


def move(arm, joints, width):
    arm.send(Command(np.array(joints), width, time.monotonic_ns()))


def test_the_driver_wakes_moves_and_grips(world, arm):
    goal = np.add(READY_JOINTS, (0.3, 0.1, -0.1, 0.1, 0.1, -0.2))
    move(arm, goal, 0.010)
    until(lambda: np.abs(arm.read().joints - goal).max() < 0.02)
    until(lambda: abs(arm.read().gripper_width - 0.010) < 0.002)
    state = world.state()
    np.testing.assert_allclose(state["joints"], goal, atol=0.02)
    assert state["gripper_width"] == pytest.approx(0.010, abs=0.002)
    assert np.linalg.norm(Kinematics().forward(goal).position - state["tip"]) < 0.01
    assert os.getpid() in state["opened_by"]
    assert all(state["torque"].values())
    move(arm, READY_JOINTS, 0.044)
    until(lambda: arm.read().gripper_width > 0.042)


def test_a_new_scene_leaves_the_arm_alone(world, arm):
    until(lambda: np.abs(world.state()["velocities"]).max() < 1e-3)
    before = world.state()
    world.place("forward", 21)
    after = world.state()
    np.testing.assert_allclose(after["joints"], before["joints"], atol=1e-3)
    assert after["torque"] == before["torque"]
    assert after["physics_ns"] > before["physics_ns"]
    assert np.abs(np.subtract(after["objects"]["pot"], before["objects"]["pot"])).max() > 0.01
    assert arm.fault is None


def test_objects_stand_where_the_seed_puts_them(world, arm):
    twin = make_twin("pot_pick_place", seed=0, cameras=())
    for direction, seed in (("forward", 3), ("backward", [7, 2])):
        world.place(direction, seed)
        twin.reset(direction, np.random.default_rng(seed))
        there = twin.scene.physics.body_pose("pot")[0]
        np.testing.assert_allclose(world.state()["objects"]["pot"][:3], there, atol=0.001)


def test_frames_are_the_twins_renders_up_to_the_noise(world, arm):
    camera = world.cameras["front"]
    source = UvcConfig(camera.device, camera.resolution, camera.fps, stand_in=camera.stand_in)
    with ProcessCamera(CameraConfig("front", source, (96, 96))) as front:
        front.wait()
        shown = world.place("backward", 5)
        until(lambda: np.abs(world.state()["velocities"]).max() < 1e-3)
        until(lambda: front.latest(LONG).t_ns > shown + 300_000_000)
        image, state = front.latest(LONG).image, world.state()
    twin = make_twin("pot_pick_place", seed=SETTINGS.seed)
    twin.rearrange("backward", np.random.default_rng(5))
    data, finger = twin.scene.physics.data, ARM.finger_closed + 0.5 * state["gripper_width"]
    data.qpos[:8] = (*state["joints"], finger, -finger)
    pot = np.array(state["objects"]["pot"])
    twin.scene.physics.set_free_body("pot", pot[:3], pot[3:])
    wanted = twin.env.observe().images["front"]
    twin.close()
    assert wanted.std() > 10
    different = np.abs(image.astype(int) - wanted).max(axis=2)
    assert (different == 1).mean() > 0.5  # the noise
    assert (different > 1).mean() < 0.002  # an edge that the arm's last hundredth of a millimetre moved


def test_a_realsense_driver_gets_colour_and_depth(world, arm):
    camera = world.cameras["wrist"]
    source = RealSenseConfig(camera.device, camera.resolution, 10, depth=True, stand_in=camera.stand_in)
    with ProcessCamera(CameraConfig("wrist", source, (96, 96))) as wrist:
        wrist.wait()
        assert wrist.latest(LONG).image.std() > 5
        assert 200 < np.median(wrist.latest(LONG).depth) < 500  # mm
        metres = wrist.depth(LONG).depth * wrist.depth(LONG).unit_m
        assert world.state()["cameras"]["wrist"]["opened_by"] == wrist.status().pid
    # the camera is 0.3 m above the table and looks down, past the fingers
    assert 0.2 < np.median(metres) < 0.5
    assert metres[metres > 0].min() < 0.15


def test_the_physics_judges(world, arm):
    move(arm, READY_JOINTS, 0.044)
    until(lambda: arm.read().gripper_width > 0.042)
    world.place("forward", 1, spread="narrow")
    assert not world.success("forward")
    until(lambda: world.success("backward"))  # the start of one is the goal of the other, once it stands still
    assert world.trouble() is None


def test_nobody_reaches_under_a_low_gripper(world, arm):
    low = Kinematics().inverse(Kinematics().forward((0.0, 0.2, 0.5, 0.0, 0.85, 0.0)), READY_JOINTS)
    assert Kinematics().forward(low).position[2] < 0.095
    move(arm, low, 0.044)
    until(lambda: world.state()["tip"][2] < 0.095)
    before = world.state()["objects"]
    with pytest.raises(DeviceError, match=r"among the objects.*Move the arm home first"):
        world.place("forward", 1)
    np.testing.assert_allclose(world.state()["objects"]["pot"], before["pot"], atol=1e-3)
    move(arm, READY_JOINTS, 0.044)
    until(lambda: world.state()["tip"][2] > 0.2)
    world.place("forward", 1)


def test_wrong_requests_say_what_there_is(world):
    with pytest.raises(DeviceError, match="forward"):
        world.place("sideways", 1)
    with pytest.raises(DeviceError, match="narrow"):
        world.place("forward", 1, spread="broad")
    with pytest.raises(DeviceError, match="whole number"):
        world.place("forward", -1)
    with pytest.raises(DeviceError, match="overload"):
        world.fault("earthquake")
    with pytest.raises(DeviceError, match=r"takes \(servo\)"):
        world.fault("overload")
    with pytest.raises(DeviceError, match=r"there are \[1, 2"):
        world.fault("reboot", servo=12)
    with pytest.raises(DeviceError, match="front"):
        world.fault("freeze", camera="back")


def test_a_second_client_attaches_and_detaches(world):
    with VirtualWorld.attach(world.folder) as other:
        assert other.settings == SETTINGS
        assert other.port == world.port
        assert other.state()["torque"] == world.state()["torque"]
    assert alive(world.pid)
    with pytest.raises(DeviceError, match="regrasp virtual-arm"):
        VirtualWorld.attach(world.folder / "elsewhere")


def test_pulled_plugs_and_a_person_who_clears(world, arm):
    arm.hold()
    asleep = world.state()["physics_ns"]
    assert "unplugged" in world.fault("unplug")
    until(lambda: arm.mode.value == "lost")
    until(lambda: world.state()["physics_ns"] > asleep + 200_000_000)  # without the port time goes on
    world.fault("unplug", camera="front")
    assert not Path(world.cameras["front"].device).exists()
    world.fault("heal")
    assert Path(world.cameras["front"].device).exists()
    until(lambda: "is back" in (arm.fault or ""))
    clear(arm)
    world.fault("overload", servo=2)
    until(lambda: arm.fault is not None)
    assert "Servo 2 (shoulder) reports overload" in arm.fault
    assert not world.state()["torque"]["2"]
    clear(arm)
    assert all(world.state()["torque"].values())
    assert not any(world.state()["errors"].values())


def test_a_world_ends_with_its_parent():
    code = (
        "import os, signal, sys\n"
        "from sim.virtual.client import VirtualWorld\n"
        "from sim.virtual.world_settings import WorldSettings\n"
        "world = VirtualWorld.start(WorldSettings('pot_pick_place', cameras={}))\n"
        "print(world.pid, world.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    pid, folder = done.stdout.split()
    until(lambda: not alive(int(pid)))
    assert sorted(path.name for path in Path(folder).iterdir()) == ["log"]
    (Path(folder) / "log").unlink()
    Path(folder).rmdir()


def test_a_world_that_cannot_start_says_why(monkeypatch):
    arguments = WorldSettings.to_arguments
    monkeypatch.setattr(WorldSettings, "to_arguments", lambda self, folder: [*arguments(self, folder), "--size", "0"])
    with pytest.raises(DeviceError, match=r"didn't start: image_size is 0"):
        VirtualWorld.start(SETTINGS)
