"""Tasks from descriptions in words: what each word means in the physics, and what is refused."""

import copy

import numpy as np
import pytest
import yaml

from commands.new_task import text_of
from sim.experts.scripted import ScriptedExpert
from sim.tasks.described import described, task_of
from sim.twin import make_twin
from sim.virtual.world_settings import WorldSettings, parse_arguments
from trajectories.errors import ConfigError

WORDS = {"forward": ["do it"], "backward": ["undo it"]}
COVER = {
    "fixtures": {"bowl": {"kind": "bowl", "at": [0.28, -0.11]}},
    "objects": {"pot": {"kind": "pot"}, "puck": {"kind": "puck"}},
    "moves": "pot",
    "forward": "covering puck",
    "backward": "left of the bowl",
}
BOWL = yaml.safe_load(text_of("to_bowl", scene=True))["scene"]


@pytest.mark.parametrize(("scene", "direction"), [(COVER, "forward"), (COVER, "backward"), (BOWL, "forward")])
def test_the_scripted_expert_does_it(scene, direction):
    twin = make_twin("mine", seed=3, cameras=(), description=described("mine", scene, WORDS))
    rng = np.random.default_rng(2)
    twin.reset(direction, rng)
    assert not twin.success(direction)
    expert = ScriptedExpert(twin, direction, rng)
    done = False
    for _ in range(60):
        twin.env.apply(expert.act(twin.env.observe()))
        done = done or twin.success(direction)
    assert done
    twin.close()


def standing(scene, xy, height=0.0, **about):
    """Whether the object counts as being at its goal, forward and backward, put down at a place beside the bowl."""
    twin = make_twin("mine", seed=3, cameras=(), randomise=False, description=described("mine", scene, WORDS, **about))
    twin.scene.place(twin.task.object, (*xy, height), 0.0)
    if scene is COVER:
        twin.scene.place("puck", (0.30, 0.10, 0.0005), 0.0)
    found = [twin.task.at_goal(twin.scene, way) for way in ("forward", "backward")]
    twin.close()
    return found


def test_covering_hides_the_other_and_left_is_the_robots():
    top = 0.0205
    assert standing(COVER, (0.30, 0.10), top) == [True, False]
    assert standing(COVER, (0.30, 0.118), top) == [False, False]  # on top of it, and it shows
    assert standing(COVER, (0.28, 0.017), 0.0005) == [False, True]
    assert standing(COVER, (0.28, 0.09), 0.0005) == [False, False]
    assert standing(COVER, (0.28, -0.11), 0.0035) == [False, False]  # inside it


def test_a_task_may_end_with_the_gripper_closed():
    for ends_open in (True, False):
        text = described("mine", BOWL, WORDS, ends_open)
        twin = make_twin("mine", seed=3, cameras=(), randomise=False, description=text)
        bowl = twin.scene.fixture("bowl").position
        twin.scene.place("sponge", (bowl[0], bowl[1], bowl[2] + 0.0005), 0.0)
        twin.env.apply(np.array([0, 0, 0, 0, 0, 0, -1], dtype=np.float32))
        twin.env.apply(np.array([0, 0, 0, 0, 0, 0, -1], dtype=np.float32))
        assert twin.success("forward") == (not ends_open)
        twin.close()


def changed(key, value):
    scene = copy.deepcopy(BOWL)
    *path, last = key.split(".")
    inside = scene
    for name in path:
        inside = inside[name]
    inside[last] = value
    return scene


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("forward", "in the bowl", "expected one of inside, on top of"),
        ("forward", "inside cup", "with one of bowl, mat, sponge"),
        ("forward", "on top of mat", "are alike"),
        ("forward", "covering bowl", "needs an object"),
        ("forward", "on top of sponge", "can't be on top of itself"),
        ("forward", "right of bowl", "doesn't reach"),
        ("fixtures.bowl.kind", "wok", r"fixtures.bowl.kind is 'wok', expected one of sink"),
        ("fixtures.bowl.at", [0.5, 0.0], "out of the arm's reach"),
        ("fixtures.bowl.at", 0.3, "expected 2 numbers"),
        ("fixtures.bowl.at", [0.28, 0.05], "overlap"),
        ("fixtures.bowl.scale", 0.5, "doesn't fit"),
        ("fixtures.bowl.size", 2, "no setting 'size'"),
        ("fixtures", [], "expected name"),
        ("objects.cube", {"kind": "cube"}, "takes no part"),
        ("objects.mat", {"kind": "cube"}, "name of a fixture and of an object"),
        ("objects.sponge.kind", "open_pot", "can't grasp 'open_pot'"),
        ("moves", "cube", "moves is 'cube', expected one of sponge"),
        ("skill", "throw", "expected one of pick, push"),
        ("backward", None, "scene.backward is missing"),
    ],
)
def test_what_cant_be_is_refused_with_its_key(key, value, words):
    with pytest.raises(ConfigError, match=words):
        described("mine", changed(key, value), WORDS)


def test_a_task_of_the_twin_keeps_its_name():
    with pytest.raises(ConfigError, match="bin_weight is a task of the twin"):
        described("bin_weight", BOWL, WORDS)
    assert task_of("bin_weight").name == "bin_weight"


def test_the_virtual_world_gets_it_on_its_command_line(tmp_path):
    settings = WorldSettings("mine", description=described("mine", COVER, WORDS))
    assert parse_arguments(settings.to_arguments(tmp_path)) == (settings, tmp_path)
    assert task_of("mine", settings.description).goals["forward"].covering
