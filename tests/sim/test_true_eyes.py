"""The truth as eyes, for control: where things are, only what it shall tell, and of such tasks alone."""

import numpy as np
import pytest
import torch
from helpers.blob_world import fake_text

from benchmarks.true_eyes import TrueEyes
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from sim.twin import make_twin
from trajectories.errors import ConfigError


@pytest.fixture
def twin(request):
    twin = make_twin(request.param, seed=3, cameras=("front",), image_size=64, randomise=False)
    yield twin
    twin.close()


def eyes_of(twin):
    spec, words = twin.env.robot_spec, twin.task.instructions
    text = TextTable.build({*words["forward"], *words["backward"]}, fake_text, "fake")
    torch.manual_seed(0)
    net = KeypointNet(KeypointNetConfig(64, len(spec.proprio), text.rows.shape[1]))
    proprio = np.stack([twin.env.observe().proprio] * 2)
    seen = KeypointPerception(net, ProprioScaling.fit(proprio), text, spec, "front")
    return seen, TrueEyes.of(seen, twin)


@pytest.mark.parametrize("twin", ["bin_weight", "pot_lid"], indirect=True)
def test_it_tells_where_the_object_and_its_goal_are_and_nothing_else(twin):
    twin.reset("forward", np.random.default_rng(0))
    seen, eyes = eyes_of(twin)
    observation = twin.env.observe()
    row = np.array([seen.text.row(twin.task.instructions["forward"][-1])])
    frame = observation.images["front"][None], observation.proprio[None], row
    found = seen.keypoints(*frame)
    assert np.array_equal(eyes.keypoints(*frame), found)
    here = twin.scene.physics.body_pose(twin.task.object)[0][:2]
    goal = twin.task.goals["forward"]
    there = (
        twin.scene.physics.body_pose(goal.on_top_of)[0] if goal.on_top_of else twin.scene.fixture(goal.fixture).position
    )[:2]
    errors = np.linalg.norm(found[0, :2] - here), np.linalg.norm(found[0, 5:7] - there)
    assert eyes.errors_m == [pytest.approx(errors, abs=1e-6)]

    eyes.told = ("pick",)
    told = eyes.keypoints(*frame)
    assert told[0, :2] == pytest.approx(here, abs=1e-6)
    assert np.array_equal(told[:, 5:], found[:, 5:])
    closed = frame[1].copy()
    closed[0, twin.env.robot_spec.proprio.index("gripper_command")] = -1
    assert np.array_equal(eyes.keypoints(frame[0], closed, row), seen.keypoints(frame[0], closed, row))

    eyes.told = ("place",)
    told = eyes.keypoints(*frame)
    assert told[0, 5:7] == pytest.approx(there, abs=1e-6)
    assert np.array_equal(told[:, :5], found[:, :5])


@pytest.mark.parametrize("twin", ["cloth_folding"], indirect=True)
def test_a_cloth_has_no_such_truth(twin):
    with pytest.raises(ConfigError, match="cloth_folding"):
        eyes_of(twin)
