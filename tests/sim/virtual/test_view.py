"""Looking at a world that goes on: the copy, depth, and a new scene around the arm."""

import threading

import mujoco
import numpy as np
import pytest

from drivers.dynamixel.tables import XM430_W350
from sim.physics import Physics
from sim.rendering import SceneRenderer
from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.twin import make_twin
from sim.virtual.memory import ControlMemory
from sim.virtual.view import View
from trajectories.types import Command

SIZE = (48, 64)
SPEC = SceneSpec((FixtureSpec("rack", "rack", (0.28, -0.1)),), (ObjectSpec("cube", "cube", (0.28, 0.1)),))


@pytest.fixture
def scene():
    scene = Scene(SPEC, randomise=False)
    yield scene
    scene.close()


@pytest.fixture
def view(scene):
    renderer = SceneRenderer(scene.physics.model, SIZE)
    yield View(scene.physics, threading.RLock(), renderer, "front", SIZE)
    renderer.close()


def test_a_view_shows_what_the_twins_camera_shows(scene, view):
    camera = scene.camera("front", SIZE)
    np.testing.assert_array_equal(view.look(), camera.latest(0).image)
    scene.arm.send(Command(scene.arm.read().joints + 0.2, 0.0, 0))
    scene.clock.sleep_until_ns(400_000_000)
    moved = view.look()
    np.testing.assert_array_equal(moved, camera.latest(0).image)
    scene.rearrange(np.random.default_rng(3))
    np.testing.assert_array_equal(view.look(), camera.latest(0).image)
    assert not np.array_equal(view.look(), moved)
    np.testing.assert_array_equal(view.look_deep(), view.look())


def test_looking_changes_nothing(scene, view):
    scene.clock.sleep_until_ns(100_000_000)
    before = {name: getattr(scene.physics.data, name).copy() for name in ("qpos", "qvel", "xpos", "ctrl", "qacc")}
    view.look_deep()
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(scene.physics.data, name), value)


def test_depth_is_the_distance_along_the_axis(scene, view):
    view.look_deep()
    depth = view.depth()
    physics, geom = scene.physics, np.zeros(1, np.int32)
    physics.refresh()
    camera = physics.model.camera("front").id
    eye, axes = physics.data.cam_xpos[camera], physics.data.cam_xmat[camera].reshape(3, 3)
    scale = 2 * np.tan(np.radians(physics.model.cam_fovy[camera]) / 2) / SIZE[0]
    groups = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    good = 0
    for row in range(4, SIZE[0], 8):
        for column in range(4, SIZE[1], 8):
            ray = np.array([(column + 0.5 - SIZE[1] / 2) * scale, -(row + 0.5 - SIZE[0] / 2) * scale, -1.0])
            length = mujoco.mj_ray(physics.model, physics.data, eye, axes @ ray, groups, 1, -1, geom)
            # the ray's own third coordinate is 1, so that its length factor is the depth
            good += abs(depth[row, column] - 1000 * length) < 6
    assert good >= 0.85 * 6 * 8  # the rest lie on edges


def test_a_new_scene_around_the_arm_is_the_one_of_a_reset():
    twin, other = (make_twin("pot_pick_place", seed=1, cameras=()) for _ in range(2))
    twin.reset("backward", np.random.default_rng(8))
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 300_000_000)
    physics = twin.scene.physics
    physics.data.qvel[0] = 0.3
    kept = {name: getattr(physics.data, name)[:7].copy() for name in ("qpos", "qvel", "ctrl")}
    now = physics.now_ns
    twin.rearrange("forward", np.random.default_rng(9))
    assert physics.now_ns == now
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(physics.data, name)[:7], value)
    other.reset("forward", np.random.default_rng(9))
    for name in ("body_pos", "geom_rgba", "geom_size", "body_mass", "light_pos", "cam_pos", "geom_friction"):
        np.testing.assert_array_equal(getattr(physics.model, name), getattr(other.scene.physics.model, name))
    there, here = other.scene.physics.body_pose("pot"), physics.body_pose("pot")
    np.testing.assert_allclose(here[0], there[0], atol=1e-3)
    np.testing.assert_allclose(here[1], there[1], atol=1e-2)


def test_a_copy_follows_without_the_others_time(scene):
    copy = Physics(scene.physics.model)
    scene.clock.sleep_until_ns(200_000_000)
    scene.place("cube", (0.22, 0.05, 0.0), 0.4)
    copy.copy_positions(scene.physics)
    np.testing.assert_array_equal(copy.body_pose("cube")[0], scene.physics.body_pose("cube")[0])
    np.testing.assert_array_equal(copy.tip_position(), scene.physics.tip_position())
    assert copy.now_ns == 0


def test_a_servos_memory_says_what_its_bytes_say():
    memory, rng = ControlMemory(XM430_W350), np.random.default_rng(2)
    registers = list(XM430_W350.registers.values())
    for _ in range(3000):
        one = registers[int(rng.integers(len(registers)))]
        value = int(rng.integers(one.low, one.high + 1))
        if rng.random() < 0.5:
            memory.set(one.name, value)
        else:
            memory.store(one, value)
        if rng.random() < 0.02:
            memory.restore_ram()
        if rng.random() < 0.02:
            memory.restore_eeprom(("id",))
        one = registers[int(rng.integers(len(registers)))]
        data = memory.read(one.address, one.size)
        assert memory.get(one.name) == int.from_bytes(data, "little", signed=one.signed)
