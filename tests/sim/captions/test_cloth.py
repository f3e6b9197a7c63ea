"""Captions about a cloth are true exactly when they should be."""

import numpy as np
import pytest

from sim.captions.caption import DONE
from sim.captions.cloth import captions_of, facts_of, states
from sim.scene.cloth import ROWS
from sim.tasks.cloth import half_folded, in_folds
from sim.twin import make_twin
from trajectories.types import DIRECTIONS


@pytest.fixture(scope="module", params=["cloth_folding", "cube_covering"])
def twin(request):
    twin = make_twin(request.param, seed=0, cameras=())
    yield twin
    twin.close()


def test_instructions_agree_with_the_predicate(twin):
    rng = np.random.default_rng(4)
    seen = {True: 0, False: 0, None: 0}
    for _, facts in zip(range(54), states(twin, rng), strict=False):
        for direction in DIRECTIONS:
            place = twin.task.goals[direction].phrase
            said = facts.truths[DONE, place]
            seen[said] += 1
            assert facts.truths["at", place] == twin.task.at_goal(twin.scene, direction)
            assert twin.success(direction) is bool(said), (direction, said)
    assert seen[True] > 2
    assert seen[False] > 20


def test_every_caption_has_a_truth(twin):
    truths = facts_of(twin).truths
    assert {(caption.relation, caption.place) for caption in captions_of(twin.task)} == set(truths)


def lie(twin, nodes):
    twin.reset("forward", np.random.default_rng(0))
    twin.scene.cloth.put(nodes)
    twin.scene.cloth.settle(2.0)
    return facts_of(twin).truths


def test_a_fold_that_falls_short_is_folded_part_of_the_way():
    twin = make_twin("cloth_folding", seed=0, cameras=(), randomise=False)
    cloth = twin.scene.cloth
    said = lie(twin, in_folds(cloth, (0.28, 0.0), 0.0, half_folded(ROWS - 3)))
    assert said["part", "folded"]
    assert not (said["at", "folded"])
    assert not (said["at", "unfolded"])
    assert not (said["crumpled", ""])
    assert lie(twin, in_folds(cloth, (0.28, 0.0), 0.0, half_folded(ROWS // 2)))[DONE, "folded"]
    heap = cloth.lay((0.28, 0.0), 0.0)
    heap[2:5, :, 2] += 0.03
    cloth.put(heap)
    assert facts_of(twin).truths["crumpled", ""]
    twin.close()


def test_a_cloth_across_the_cube_covers_part_of_it():
    twin = make_twin("cube_covering", seed=0, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    cube = twin.scene.physics.body_pose("cube")[0]
    shares = []
    for before in (-0.05, 0.0, 0.06):
        nodes = twin.scene.cloth.lay((cube[0] + before - 0.07, cube[1]), 0.0)
        nodes[..., 2] += 0.034
        said = lie(twin, nodes)
        shares.append([said["none", "over the cube"], said["part", "over the cube"], said["at", "over the cube"]])
    assert shares == [[True, False, False], [False, True, False], [False, False, True]]
    twin.close()
