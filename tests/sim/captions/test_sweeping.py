"""Captions about what is swept, and about the board, are true exactly when they should be."""

import numpy as np
import pytest

from sim.captions.caption import DONE
from sim.captions.sweeping import captions_of, facts_of, pose_state
from sim.twin import make_twin
from trajectories.types import DIRECTIONS

FAR, NEAR = "far", "near"


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("candy_sweeping", seed=0, cameras=())
    yield twin
    twin.close()


def scatter(twin, along):
    """Things in a row, `along` (m) the tray's axis."""
    twin.reset("forward", np.random.default_rng(0))
    tray = twin.scene.fixture("tray")
    for index, (name, place) in enumerate(zip(twin.task.things, along, strict=True)):
        x, y = tray.point(place, 0.02 * (index - 3))
        twin.scene.place(name, (x, y, tray.floor_height + 0.0005), 0.0)
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 200_000_000)
    return facts_of(twin).truths


def test_what_is_where_is_counted(twin):
    said = scatter(twin, [-0.04] * 7)
    assert said[DONE, FAR]
    assert said["all", FAR]
    assert said["none", NEAR]
    assert not said["some", FAR]
    assert not said["middle", ""]
    assert not said[DONE, NEAR]
    said = scatter(twin, [-0.04] * 6 + [-0.017])
    assert said["all but one", FAR]
    assert said["some", FAR]
    assert said["middle", ""]
    assert not said[DONE, FAR]
    assert not said["all middle", ""]
    said = scatter(twin, [0.0] * 7)
    assert said["all middle", ""]
    assert said["none", FAR]
    assert said["none", NEAR]
    said = scatter(twin, [0.04] * 6 + [0.2])
    assert said["out", ""]
    assert said["all but one", NEAR]


def test_without_the_board_nothing_is_done(twin):
    scatter(twin, [-0.04] * 7)
    assert facts_of(twin).truths["held", ""]
    twin.scene.place("board", (0.28, 0.16, 0.03), 0.3)
    twin.scene.physics.set_arm(twin.env.arm_state.joints, 0.044)
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 500_000_000)
    said = facts_of(twin).truths
    assert said["dropped", ""]
    assert said["all", FAR]
    assert not said["held", ""]
    assert not said[DONE, FAR]


def test_instructions_agree_with_the_predicate(twin):
    rng = np.random.default_rng(1)
    seen = {True: 0, False: 0}
    for index in range(60):
        if index % 6 == 0:
            twin.reset("forward", rng)
        truths = pose_state(twin, rng).truths
        for direction, where in zip(DIRECTIONS, (FAR, NEAR), strict=True):
            if twin.success(direction):
                assert truths[DONE, where]
            seen[truths[DONE, where]] += 1
            assert truths[DONE, where] == (twin.share(direction) == 1.0 and truths["held", ""])
    assert min(seen.values()) > 5


def test_every_caption_has_a_truth(twin):
    truths = facts_of(twin).truths
    assert {(caption.relation, caption.place) for caption in captions_of(twin.task)} == set(truths)
