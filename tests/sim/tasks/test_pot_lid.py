"""The lid on its pot: what counts, what doesn't, and that it lies still there."""

import numpy as np
import pytest

from sim.tasks.predicates import closed
from sim.tasks.task import tilt
from sim.twin import make_twin


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("pot_lid", seed=3, cameras=(), spread="narrow")
    yield twin
    twin.close()


def wait(twin, seconds=1.0):
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + round(seconds * 1e9))


def put(twin, seed, off=0.0, angle=0.0, above=0.001, lean=0.0):
    """Put the lid `off` (m) from the pot's middle in the direction `angle`, leaning, and wait; the offset (3,) then."""
    twin.reset("forward", np.random.default_rng(seed))
    base, _ = twin.scene.physics.body_pose("pot")
    height = base[2] + twin.scene.object("lid").height_on(twin.scene.object("pot")) + above
    x, y = base[0] + off * np.cos(angle), base[1] + off * np.sin(angle)
    twin.scene.physics.set_free_body("lid", (x, y, height), (np.cos(lean / 2), np.sin(lean / 2), 0.0, 0.0))
    wait(twin)
    return twin.scene.physics.body_pose("lid")[0] - twin.scene.physics.body_pose("pot")[0]


def test_within_its_play_it_is_on_and_lies_still(twin):
    for seed in range(6):
        off = put(twin, seed, off=0.0015, angle=seed)
        assert twin.success("forward"), off
        wait(twin, 3.0)
        assert twin.success("forward")
        assert (
            np.linalg.norm(twin.scene.physics.body_pose("lid")[0] - twin.scene.physics.body_pose("pot")[0] - off) < 5e-4
        )


@pytest.mark.parametrize("off", [0.010, 0.018, 0.030])
def test_off_centre_it_is_not_on(twin, off):
    for seed in range(4):
        put(twin, seed, off=off, angle=1.6 * seed, above=0.007)
        assert not twin.success("forward")


def test_upside_down_or_under_the_rim_it_is_not_on(twin):
    for lean in (np.pi, 0.5 * np.pi):
        put(twin, 0, lean=lean, above=0.03)
        assert not twin.success("forward")


def test_it_is_not_on_while_it_is_held_over_or_the_pot_stands_elsewhere(twin):
    put(twin, 1)
    assert twin.success("forward")
    for _ in range(3):
        twin.env.apply(np.array([0, 0, 0, 0, 0, 0, -1], np.float32))
    assert twin.task.at_goal(twin.scene, "forward")
    assert not twin.success("forward")  # the gripper is commanded closed
    twin.env.apply(np.array([0, 0, 0, 0, 0, 0, 1], np.float32))
    assert twin.success("forward")
    for name in ("pot", "lid"):
        height = 0.0 if name == "pot" else twin.scene.object("lid").height_on(twin.scene.object("pot"))
        twin.scene.place(name, (0.28, 0.0, height + 0.0005), 0.0)
    wait(twin)
    assert closed(twin.scene, "pot", "lid")
    assert not twin.success("forward")
    assert twin.operator.trouble() == "the pot was moved out of its place in the sink"


def test_a_lean_of_a_few_degrees_is_no_success(twin):
    """A lid whose lip is on the rim on one side is near and slow, and leans."""
    put(twin, 2, off=0.008, angle=0.4, above=0.007)
    leaning = tilt(twin.scene.physics.body_pose("lid")[1])
    assert np.degrees(leaning) > 3
    assert not closed(twin.scene, "pot", "lid")
