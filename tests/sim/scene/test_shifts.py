"""Looks that training never saw: beyond its range in what is shifted, within it in all else."""

from functools import lru_cache

import numpy as np
import pytest

from robot.arms.registry import ARMS, arm_model
from robot.arms.wx250s import WX250S
from sim.scene.objects import OBJECTS
from sim.scene.scene import Scene
from sim.scene.shapes import OBJECT_FRICTION
from sim.scene.spec import SHIFTS, Variation
from sim.scene.surroundings import FRONT_POSITION, LIGHTS, OTHER_TABLES
from sim.tasks import TASKS
from sim.twin import make_twin
from trajectories.errors import ConfigError

SPEC = TASKS["pot_pick_place"].scene


def looks(variation, seeds=range(12)):
    """Camera positions (N, 3) and strengths of the first light (N,) of scenes that are drawn with a variation."""
    cameras, lights = [], []
    scene = Scene(SPEC, randomise=False, variation=variation)
    nominal = scene.physics.model.light_diffuse[0, 0]
    for seed in seeds:
        scene.randomise(np.random.default_rng(seed))
        cameras.append(scene.physics.model.camera("front").pos - FRONT_POSITION)
        lights.append(scene.physics.model.light_diffuse[0, 0] / nominal - 1)
    return np.abs(cameras), np.abs(lights)


def test_each_shift_is_beyond_training_in_its_own_way():
    usual = Variation()
    cameras, lights = looks(SHIFTS["none"])
    assert cameras.max() <= usual.camera_position + 1e-9
    assert lights.max() <= usual.light + 1e-9
    cameras, lights = looks(SHIFTS["camera"])
    assert cameras.min() > usual.camera_position
    assert lights.max() <= usual.light + 1e-9
    cameras, lights = looks(SHIFTS["light"])
    assert cameras.max() <= usual.camera_position + 1e-9
    assert lights.min() > usual.light
    assert SHIFTS["object"].colour * SHIFTS["object"].least_colour > usual.colour


@lru_cache
def drawn(shift):
    """What is drawn of a scene and its start, by the name of the shift that it belongs to, and what is in none."""
    twin = make_twin("pot_lid", seed=0, cameras=(), shift=shift)
    found = []
    for direction, seed in (("forward", 3), ("backward", 4), ("forward", 5)):
        rng = np.random.default_rng(seed)
        twin.scene.randomise(rng)
        home = twin.env.home.sample(rng)
        twin.task.place_start(twin.scene, rng, direction, "wide")
        model = twin.scene.physics.model
        poses = [np.concatenate(twin.scene.physics.body_pose(name)) for name in ("lid", "pot")]
        found.append(
            {
                "light": model.light_diffuse.copy(),
                "camera": model.camera("front").pos.copy(),
                "object": model.geom_rgba[model.body("sink").geomadr[0]].copy(),
                "friction": model.geom_friction[model.body("lid").geomadr[0]].copy(),
                "size": np.array([twin.scene.object("lid").height, twin.scene.object("pot").height]),
                "start": np.concatenate([home.position, home.rpy]),
                "texture": np.array([model.mat(model.geom("table").matid[0]).name in OTHER_TABLES]),
                "places": np.concatenate(poses),
                "fixtures": model.body("sink").pos.copy(),
                "mass": np.array([model.body("lid").mass]),
                "what comes next": np.array([rng.random()]),
            }
        )
    return found


@pytest.mark.parametrize("shift", [name for name in SHIFTS if name != "none"])
def test_a_seed_draws_the_same_scene_under_every_shift_but_for_what_is_shifted(shift):
    for mine, usual in zip(drawn(shift), drawn("none"), strict=True):
        for name, value in usual.items():
            if name == shift:
                assert not np.isclose(mine[name], value, atol=1e-6).all(), name
            elif shift == "size" and name in ("places", "what comes next"):
                assert mine[name].shape == value.shape  # an object of another size fits elsewhere
            else:
                assert np.array_equal(mine[name], value), name


def test_sizes_starts_and_friction_are_beyond_training():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = Scene(TASKS["pot_lid"].scene, randomise=False, variation=SHIFTS["size"])
        scene.randomise(rng)
        lid, pot = scene.object("lid"), scene.object("pot")
        scales = [lid.height / OBJECTS["lid"].height, pot.height / OBJECTS["open_pot"].height]
        assert all(abs(scale - 1.0) > 0.03 for scale in scales)  # (0.97, 1.03) in training
        assert lid.closes(pot)
        model = Scene(SPEC, seed=seed, variation=SHIFTS["friction"]).physics.model
        assert abs(model.geom_friction[model.body("pot").geomadr[0], 0] / OBJECT_FRICTION[0] - 1) > Variation().friction
        home = WX250S.home
        pose = home.around(1.3, 2.0).sample(rng)
        assert home.x[0] <= pose.position[0] <= home.x[1]
        for value, (low, high) in zip((*pose.position[1:], pose.rpy[2]), (home.y, home.z, home.yaw), strict=True):
            assert 1.3 <= abs(value - (low + high) / 2) / ((high - low) / 2) <= 2.0


def test_distractors_are_seen_and_touch_nothing():
    scene = Scene(SPEC, seed=0, variation=SHIFTS["distractors"])
    model = scene.physics.model
    bodies = [body for body in range(model.nbody) if model.body(body).name.startswith("distractor_")]
    seen = [body for body in bodies if model.body_pos[body, 2] > -1.0]
    assert len(seen) == SHIFTS["distractors"].distractors < len(bodies)
    for body in bodies:
        geoms = np.arange(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
        assert not model.geom_contype[geoms].any()
        assert not model.geom_conaffinity[geoms].any()
    plain = Scene(SPEC, seed=0).camera("front").latest(0).image.astype(int)
    changed = np.abs(scene.camera("front").latest(0).image.astype(int) - plain).max(axis=2) > 20
    assert 20 < changed.sum() < 0.2 * changed.size


@pytest.mark.parametrize("arm", list(ARMS))
def test_every_arm_can_start_outside_of_its_home_region(arm):
    twin = make_twin("pot_pick_place", seed=0, cameras=(), arm=arm, shift="start")
    for seed in range(6):
        twin.reset("forward", np.random.default_rng(seed))
        home = arm_model(arm).home
        assert not home.y[0] <= twin.env.target.pose.position[1] <= home.y[1]


def test_without_a_shift_a_seed_draws_what_it_always_drew():
    scene = Scene(SPEC, randomise=False)
    scene.randomise(np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.integers(3)
    rng.uniform(-1, 1, 3)
    position = rng.uniform(-1, 1, 3)
    light = scene.physics.model.light(next(iter(LIGHTS)))
    rest = Scene(SPEC, randomise=False).physics.model.light(light.name)
    assert np.allclose(light.pos - rest.pos, position * Variation().light)


def test_an_unknown_shift_is_refused():
    with pytest.raises(
        ConfigError, match="no shift 'fog' of the twin's looks; there are none, light, camera, object, "
    ):
        make_twin("pot_pick_place", seed=0, cameras=(), shift="fog")
