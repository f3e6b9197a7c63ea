"""Looks that training never saw: beyond its range in what is shifted, within it in all else."""

import numpy as np
import pytest

from sim.scene.scene import Scene
from sim.scene.spec import SHIFTS, Variation
from sim.scene.surroundings import FRONT_POSITION, LIGHTS
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
    with pytest.raises(ConfigError, match="no shift 'fog' of the twin's looks; there are none, light, camera, object"):
        make_twin("pot_pick_place", seed=0, cameras=(), shift="fog")
