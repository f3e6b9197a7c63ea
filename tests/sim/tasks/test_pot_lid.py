"""The lid on its pot: what counts, what doesn't, and that it lies still there."""

from dataclasses import replace

import numpy as np
import pytest

from sim.experts.choice import expert_for
from sim.tasks.borders import last_apart
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


@pytest.mark.parametrize("off", [0.018, 0.024, 0.030])
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


def test_beside_its_seat_it_is_on_as_long_as_next_to_nothing_of_the_open_top_is_seen(twin):
    """A lid whose lip is on the rim on one side leans a little; people call it on, unless the pot stands open."""
    hidden, leaning = {True: 0, False: 0}, 0
    for seed in range(12):
        away = np.hypot(*put(twin, seed, off=0.008 + 0.0008 * seed, angle=1.3 * seed, above=0.007)[:2])
        pot, lid = twin.scene.object("pot"), twin.scene.object("lid")
        x, y = np.random.default_rng(0).uniform(-pot.opening, pot.opening, (2, 100_000))
        inside = np.hypot(x, y) < pot.opening
        seen = np.mean(np.hypot(x - away, y)[inside] > min(lid.half_extent))
        assert seen == pytest.approx(1 - lid.hides(pot, away), abs=0.005)
        if abs(seen - 0.1) > 0.005:
            assert twin.success("forward") == closed(twin.scene, "pot", "lid") == (seen < 0.1)
        hidden[bool(seen < 0.1)] += 1
        leaning += seen < 0.1 and 2 < np.degrees(tilt(twin.scene.physics.body_pose("lid")[1])) < 10
    assert min(hidden.values()) > 2
    assert leaning > 2


def test_what_a_lid_hides_of_a_pot_that_is_larger_or_far_away(twin):
    pot, lid = twin.scene.object("pot"), twin.scene.object("lid")
    small = replace(lid, half_extent=(pot.opening / 2, pot.opening / 2))
    assert small.hides(pot, 0.0) == pytest.approx(0.25)
    assert small.hides(pot, 0.2) == lid.hides(pot, 0.2) == 0.0
    for size in np.linspace(0.02, 0.05, 301):
        other = replace(lid, half_extent=(size, size))
        for limit in (abs(size - pot.opening), size + pot.opening):
            apart = limit
            for _ in range(4):
                apart = np.nextafter(apart, 1.0 if limit < pot.opening else 0.0)
                assert 0.0 <= other.hides(pot, apart) <= 1.0


def test_deliberate_near_misses_lie_about_the_last_place_that_counts(twin):
    last = last_apart(twin.scene.object("lid"), twin.scene.object("pot"))
    assert twin.scene.object("lid").hides(twin.scene.object("pot"), last) >= 0.9
    far = {"edge": [], "border": []}
    for failure, found in far.items():
        for seed in range(30):
            twin.reset("forward", np.random.default_rng(seed))
            expert = expert_for(twin, "forward", np.random.default_rng(seed), failure=failure)
            middle = twin.scene.physics.body_pose("pot")[0][:2]
            own = last_apart(twin.scene.object("lid"), twin.scene.object("pot"))
            found.append((np.linalg.norm(expert._goal - middle), own))
    assert all(own + 0.002 < apart < 0.031 for apart, own in far["edge"])
    assert all(abs(apart - own) < 0.0101 for apart, own in far["border"])
    assert {apart < own for apart, own in far["border"]} == {True, False}


def test_a_lid_that_leans_on_the_pot_as_on_a_wall_is_not_on(twin):
    """Its middle is over the pot for an instant, but it stands on its rim."""
    twin.reset("forward", np.random.default_rng(0))
    base = twin.scene.physics.body_pose("pot")[0]
    height = base[2] + twin.scene.object("lid").height_on(twin.scene.object("pot"))
    for lean, on in ((0.0, True), (np.radians(4), True), (np.radians(12), False), (np.radians(20), False)):
        twin.scene.physics.set_free_body("lid", (*base[:2], height), (np.cos(lean / 2), np.sin(lean / 2), 0.0, 0.0))
        assert closed(twin.scene, "pot", "lid") == on
    for above, on in ((0.004, True), (0.009, False), (-0.004, False)):
        twin.scene.physics.set_free_body("lid", (*base[:2], height + above), (1.0, 0.0, 0.0, 0.0))
        assert closed(twin.scene, "pot", "lid") == on
