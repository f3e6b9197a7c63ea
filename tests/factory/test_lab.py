"""`robot.lab`: what is drawn of a scene is drawn once for the target task, and only the places of things vary."""

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from commands.collect.collect import conditions_of as recorded_with
from commands.collect.plan import collect_plan
from commands.evaluate.conditions import conditions_of
from factory.twin import TwinSettings, cached_twin
from factory.virtual_robot import world_settings
from sim.virtual.world_settings import parse_arguments
from trajectories.errors import ConfigError


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", ["task=bin_bench", *overrides])


def scene_of(twin, seed, direction="forward"):
    """Looks, sizes, camera and places of fixtures of a new scene; and where its object stands."""
    twin.reset(direction, np.random.default_rng(seed))
    model = twin.scene.physics.model
    drawn = (model.geom_rgba, model.geom_size, model.cam_pos, model.light_diffuse, model.body_pos, model.body_mass)
    return np.concatenate([np.ravel(each) for each in drawn]), twin.scene.physics.body_pose("bench")[0]


def twin_of(*overrides):
    return cached_twin(TwinSettings.from_config(settings(*overrides)))


def test_a_lab_stays_while_things_are_put_elsewhere():
    lab = twin_of("robot.lab=3")
    first, there = scene_of(lab, 1)
    second, elsewhere = scene_of(lab, 2)
    np.testing.assert_array_equal(first, second)
    assert np.linalg.norm(there - elsewhere) > 0.005
    lab.rearrange("backward", np.random.default_rng(4))
    np.testing.assert_array_equal(first, scene_of(lab, 1)[0])
    other = scene_of(twin_of("robot.lab=4"), 1)[0]
    assert (first != other).sum() > 20
    anywhere = twin_of()
    assert (scene_of(anywhere, 1)[0] != scene_of(anywhere, 2)[0]).sum() > 20


def test_prior_data_are_from_many_places_and_each_episode_says_where_it_is_from():
    mine = TwinSettings.from_config(settings("robot.lab=3"))
    assert mine.of_task("bin_bench").lab == 3
    assert mine.of_task("stack_cube").lab is None
    jobs = collect_plan(
        task="bin_bench", prior_tasks=["stack_cube"], failures=["miss"], demos=1, demo_failures=0, prior_episodes=1,
        play=1, aftermath=1, noise=0.0, seed=0, max_steps=40,
    )  # fmt: skip
    labs = {(job.task, recorded_with(mine, job).get("lab")) for job in jobs}
    assert labs == {("bin_bench", 3), ("stack_cube", None)}


def test_figures_of_a_lab_are_never_taken_for_those_of_other_scenes():
    assert "lab" not in conditions_of(settings(), "predicate").to_dict()  # earlier figures keep their digests
    mine, other = (conditions_of(settings(f"robot.lab={lab}"), "predicate") for lab in (0, 1))
    assert mine.to_dict()["lab"] == 0
    assert mine.digest != other.digest


def test_a_virtual_arm_stands_in_it(tmp_path):
    world = world_settings(settings("robot=virtual", "robot.lab=0"))
    assert world.lab == 0
    assert parse_arguments(world.to_arguments(tmp_path))[0] == world
    assert parse_arguments(world_settings(settings("robot=virtual")).to_arguments(tmp_path))[0].lab is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["robot.lab=-1"], r"robot\.lab=-1 is no lab's number, expected 0, 1, 2"),
        (["robot.lab=mine"], r"robot\.lab=mine is no lab's number"),
        (["robot.lab=true"], r"robot\.lab=True is no lab's number"),
        (["robot.lab=1", "robot.randomise=false"], r"randomise=false .* Leave one of them out"),
    ],
)
def test_what_is_no_lab_is_refused(given, message):
    for robot, read in (("twin", TwinSettings.from_config), ("virtual", world_settings)):
        config = settings(f"robot={robot}", *given)
        with pytest.raises(ConfigError, match=message):
            read(config)
