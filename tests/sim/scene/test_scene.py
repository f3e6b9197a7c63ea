"""Scenes: everything stands, can be grasped and carried, and varies within what was stated."""

import mujoco
import numpy as np
import pytest
from helpers.arm_motion import Motion

from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS
from sim.scene.scene import Scene
from sim.scene.shapes import tint
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec, Variation
from sim.scene.surroundings import TABLES, look_at, table_texture
from trajectories.errors import ConfigError


def settle(scene: Scene, seconds: float = 0.6) -> None:
    scene.clock.sleep_until_ns(scene.clock.now_ns() + round(seconds * 1e9))


@pytest.mark.parametrize("kind", sorted(FIXTURES))
def test_objects_rest_on_the_floor_that_the_fixture_states(kind):
    spec = SceneSpec((FixtureSpec("place", kind, (0.28, 0.0), yaw=0.2),), (ObjectSpec("cube", "cube"),))
    scene = Scene(spec, randomise=False)
    fixture = scene.fixture("place")
    scene.place("cube", fixture.position + np.array([0, 0, 0.01]), 0.4)
    settle(scene)
    position, quaternion = scene.physics.body_pose("cube")
    assert position[2] == pytest.approx(fixture.floor_height, abs=6e-4)
    assert quaternion[1] ** 2 + quaternion[2] ** 2 < 1e-4
    assert fixture.rim_height >= fixture.floor_height


@pytest.mark.parametrize("kind", sorted(kind for kind in OBJECTS if OBJECTS[kind].is_graspable))
def test_objects_stand_still_are_lifted_carried_and_put_down(kind):
    scene = Scene(SceneSpec((), (ObjectSpec("thing", kind),)), seed=3)
    rng = np.random.default_rng(4)
    info = scene.object("thing")
    yaw = float(rng.uniform(-0.8, 0.8))
    scene.place("thing", (0.27, -0.08, 0.0), yaw)
    settle(scene)
    position, _ = scene.physics.body_pose("thing")
    np.testing.assert_allclose(position, [0.27, -0.08, 0.0], atol=1e-3)
    motion = Motion(scene)
    motion.go((0.272, -0.082, 0.14), yaw + 0.1, 0.044)
    motion.go((0.272, -0.082, info.grasp_height), yaw + 0.1, 0.044)
    assert not scene.physics.in_contact("thing", "palm")
    motion.wait(3, 0.0)
    assert scene.physics.in_contact("thing", "left_pad")
    assert scene.physics.in_contact("thing", "right_pad")
    assert scene.arm.read().gripper_effort > 0.8
    assert scene.arm.read().gripper_width == pytest.approx(info.grasp_width, abs=0.004)
    motion.go((0.27, -0.08, 0.15), yaw, 0.0)
    motion.go((0.34, 0.12, 0.15), -0.5, 0.0)
    motion.go((0.22, 0.10, 0.15), 0.5, 0.0)
    assert scene.physics.body_pose("thing")[0][2] > 0.07
    motion.go((0.25, 0.08, info.grasp_height + 0.003), 0.5, 0.0)
    motion.wait(2, 0.044)
    motion.go((0.25, 0.08, 0.14), 0.5, 0.044)
    position, _ = scene.physics.body_pose("thing")
    assert np.linalg.norm(position - [0.25, 0.08, 0.0]) < 0.015
    assert not scene.physics.in_contact("thing", "gripper_link")


def test_every_grasp_fits_the_gripper():
    for name, kind in OBJECTS.items():
        assert 0.0 <= kind.grasp_width <= 0.034, name
        assert kind.grasp_height <= kind.height, name


def test_variation_stays_within_its_ranges_and_follows_the_seed():
    spec = SceneSpec(
        (FixtureSpec("sink", "sink", (0.28, 0.1), jitter=0.01),), (ObjectSpec("pot", "pot", size=(0.9, 1.0)),)
    )
    scene, rng = Scene(spec, seed=0), np.random.default_rng(0)
    seen = []
    for _ in range(40):
        scene.randomise(rng)
        pot, sink = scene.object("pot"), scene.fixture("sink")
        seen.append((pot.height, pot.mass, *sink.position[:2], *scene.physics.model.cam_pos[1]))
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    height, mass = OBJECTS["pot"].height, OBJECTS["pot"].mass
    assert 0.9 * height - 1e-9 <= low[0] < 0.92 * height
    assert 0.98 * height < high[0] <= height + 1e-9
    assert 0.8 * mass <= low[1] < high[1] <= 1.2 * mass
    assert low[2] >= 0.27
    assert high[2] <= 0.29
    assert high[3] - low[3] > 0.015
    again = Scene(spec, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        again.randomise(rng)
    np.testing.assert_array_equal(again.physics.model.geom_rgba, scene.physics.model.geom_rgba)
    np.testing.assert_array_equal(again.physics.model.geom_size, scene.physics.model.geom_size)


def test_sizes_only_shrink_so_that_bounding_volumes_hold():
    scene = Scene(SceneSpec((), (ObjectSpec("can", "can", size=(0.8, 1.05)),)), randomise=False)
    model = scene.physics.model
    assert scene.object("can").height == pytest.approx(OBJECTS["can"].height)
    for seed in range(10):
        scene.randomise(np.random.default_rng(seed))
        body = scene.physics.body_id("can")
        first, count = model.body_geomadr[body], model.body_geomnum[body]
        size = model.geom_size[first : first + count]
        assert (np.hypot(size[:, 0], size[:, 1]) <= model.geom_rbound[first : first + count] + 1e-12).all()


def test_without_variation_only_sizes_and_jitter_change():
    spec = SceneSpec((), (ObjectSpec("cube", "cube"),))
    still = Variation(colour=0, light=0, camera_position=0, camera_target=0, mass=0, friction=0, tables=False)
    nominal = Scene(spec, randomise=False).physics.model
    scene = Scene(spec, seed=9, variation=still)
    np.testing.assert_allclose(scene.physics.model.cam_pos, nominal.cam_pos)
    np.testing.assert_allclose(scene.physics.model.light_pos, nominal.light_pos)
    assert scene.object("cube").mass == pytest.approx(OBJECTS["cube"].mass)
    assert scene.physics.model.geom("table").matid == nominal.geom("table").matid


def test_fixture_scale_and_surface():
    spec = SceneSpec((FixtureSpec("bin", "bin", (0.3, 0.1), yaw=np.pi / 2, scale=0.8),), ())
    scene = Scene(spec, randomise=False)
    info = scene.fixture("bin")
    assert info.half_extent == pytest.approx((0.056, 0.056))
    assert info.contains(0.3, 0.15)
    assert not info.contains(0.3, 0.15, margin=0.01)
    assert scene.surface_height(0.3, 0.1) == pytest.approx(info.floor_height)
    assert scene.surface_height(0.2, -0.1) == 0.0


def test_mistakes_are_refused_with_the_choices():
    with pytest.raises(ConfigError, match=r"kettle.*choose one of.*pot"):
        Scene(SceneSpec((), (ObjectSpec("a", "kettle"),)))
    with pytest.raises(ConfigError, match=r"tub.*choose one of.*sink"):
        Scene(SceneSpec((FixtureSpec("a", "tub", (0.3, 0)),), ()))
    with pytest.raises(ConfigError, match="different names"):
        Scene(SceneSpec((FixtureSpec("a", "pad", (0.3, 0)),), (ObjectSpec("a", "cube"),)))
    scene = Scene(SceneSpec((), (ObjectSpec("a", "cube"),)))
    with pytest.raises(ConfigError, match="no fixture"):
        scene.fixture("a")
    with pytest.raises(ConfigError, match="no object"):
        scene.object("b")


def test_look_at_points_the_camera():
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, look_at((1, 2, 3), (0, 0, 0)))
    np.testing.assert_allclose(-matrix.reshape(3, 3)[:, 2], -np.array([1, 2, 3]) / np.sqrt(14), atol=1e-12)
    assert matrix.reshape(3, 3)[2, 1] > 0


def test_textures_and_tints_are_pictures():
    pictures = {name: table_texture(name) for name in TABLES}
    assert len({p.tobytes() for p in pictures.values()}) == len(TABLES)
    assert all(p.shape == (128, 128, 3) and p.dtype == np.uint8 for p in pictures.values())
    np.testing.assert_array_equal(table_texture("oak"), pictures["oak"])
    assert tint("dark", (1.0, 0.5, 0.0)) == pytest.approx((0.55, 0.275, 0.0, 1.0))
