"""Clock, arm and camera of the twin."""

import numpy as np
import pytest

from robot.control.poses import READY_JOINTS
from robot.interfaces import Arm, Camera, Clock
from sim.devices import LossyCamera
from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from trajectories.errors import ConfigError
from trajectories.types import Command

SPEC = SceneSpec((FixtureSpec("rack", "rack", (0.28, -0.1)),), (ObjectSpec("cube", "cube", (0.28, 0.1)),))


@pytest.fixture
def scene() -> Scene:
    return Scene(SPEC, randomise=False)


def test_devices_satisfy_the_interfaces(scene):
    arm: Arm = scene.arm
    clock: Clock = scene.clock
    camera: Camera = scene.camera("front", (16, 16))
    assert arm.read().t_ns == clock.now_ns() == camera.latest(0).t_ns


def test_time_advances_in_whole_steps_and_never_back(scene):
    start = scene.clock.now_ns()
    scene.clock.sleep_until_ns(start + 200_000_000)
    assert scene.clock.now_ns() == start + 200_000_000
    scene.clock.sleep_until_ns(start + 201_000_000)
    assert scene.clock.now_ns() == start + 204_000_000
    scene.clock.sleep_until_ns(start)
    scene.rest()
    assert scene.clock.now_ns() == start + 204_000_000
    assert scene.arm.read().t_ns == start + 204_000_000


def test_hold_freezes_a_motion(scene):
    scene.arm.send(Command(np.array([1.0, *READY_JOINTS[1:]]), 0.0, 0))
    scene.clock.sleep_until_ns(120_000_000)
    scene.arm.hold()
    held = scene.arm.read()
    assert 0.02 < held.joints[0] < 0.9
    scene.clock.sleep_until_ns(1_000_000_000)
    assert scene.arm.read().joints[0] == pytest.approx(held.joints[0], abs=0.12)


def test_readings_do_not_change_afterwards(scene):
    before = scene.arm.read()
    kept = before.joints.copy()
    scene.arm.send(Command(np.array([0.5, *READY_JOINTS[1:]]), 0.0, 0))
    scene.clock.sleep_until_ns(400_000_000)
    np.testing.assert_array_equal(before.joints, kept)
    assert scene.arm.read().joints[0] > 0.2


def test_camera_renders_once_for_a_state_and_anew_after_a_change(scene):
    camera = scene.camera("front", (48, 48))
    first = camera.latest(0)
    assert camera.latest(0) is first
    scene.place("cube", (0.22, 0.0, 0.0), 0.3)
    second = camera.latest(0)
    assert second.t_ns == first.t_ns
    assert np.abs(second.image.astype(int) - first.image).max() > 40
    scene.clock.sleep_until_ns(scene.clock.now_ns() + 4_000_000)
    assert camera.latest(0) is not second


def test_a_depth_camera_gives_millimetres_and_the_same_colours(scene):
    plain, deep = scene.camera("front", (32, 32)).latest(0), scene.camera("front", (32, 32), depth=True).latest(0)
    assert plain.depth is None
    assert np.array_equal(deep.image, plain.image)
    assert deep.depth.dtype == np.uint16
    _, metres = scene._renderers[32, 32].render_deep(scene.physics, "front", (32, 32))
    near = metres < 10
    assert near.mean() > 0.5
    assert np.array_equal(deep.depth[near], np.rint(1000 * metres[near]).astype(np.uint16))
    assert (deep.depth[~near] == 0).all()


def test_contacts_and_poses_follow_placing_by_hand(scene):
    assert not scene.physics.in_contact("cube", "rack")
    scene.place("cube", (0.28, -0.1, scene.fixture("rack").floor_height - 1e-4), 0.0)
    assert scene.physics.in_contact("cube", "rack")
    assert scene.physics.in_contact("rack", "cube/0")
    assert not scene.physics.in_contact("cube", "gripper_link")
    np.testing.assert_allclose(scene.physics.body_pose("cube")[0][:2], [0.28, -0.1])


def test_same_commands_same_numbers():
    def run() -> np.ndarray:
        scene = Scene(SPEC, seed=5)
        for i in range(20):
            scene.arm.send(Command(np.array([0.02 * i, *READY_JOINTS[1:]]), 0.0, 0))
            scene.clock.sleep_until_ns(scene.clock.now_ns() + 20_000_000)
        return scene.physics.data.qpos.copy()

    np.testing.assert_array_equal(run(), run())


def test_unknown_names_are_refused_with_the_known_ones(scene):
    with pytest.raises(ConfigError, match="cube"):
        scene.physics.body_pose("teapot")
    with pytest.raises(ConfigError, match="free joint"):
        scene.physics.set_free_body("rack", (0, 0, 0))
    with pytest.raises(ConfigError, match="finite"):
        scene.physics.set_free_body("cube", (np.nan, 0, 0))
    with pytest.raises(ConfigError, match="wrist"):
        scene.camera("back", (16, 16))


def test_disturbed_state_is_reset(scene):
    scene.physics.data.qvel[:] = 1.0
    scene.rest()
    assert np.abs(scene.physics.data.qvel).max() == 0.0


def test_a_lossy_camera_shows_the_frame_before_while_it_is_young_enough(scene):
    camera = LossyCamera(scene.camera("front", (16, 16)), 0.2, np.random.default_rng(0))
    ages = []
    for _ in range(500):
        scene.clock.sleep_until_ns(scene.clock.now_ns() + 200_000_000)
        frame = camera.latest(250_000_000)
        assert camera.latest(250_000_000) is frame  # asked again at the same instant, nothing else is lost
        ages.append(scene.clock.now_ns() - frame.t_ns)
    assert set(ages) == {0, 200_000_000}
    lost = np.mean(np.array(ages) > 0)
    assert 0.12 < lost < 0.22  # after an old frame comes a new one, whatever is lost: 0.2 / 1.2 = 0.167


def test_a_lossy_camera_forgets_the_scene_before(scene):
    camera = LossyCamera(scene.camera("front", (16, 16)), 1.0 - 1e-9, np.random.default_rng(0))
    first = camera.latest(10**12)
    scene.clock.sleep_until_ns(scene.clock.now_ns() + 8_000_000)
    assert camera.latest(10**12) is first
    camera.forget(np.random.default_rng(1))
    assert camera.latest(10**12).t_ns == scene.clock.now_ns()
