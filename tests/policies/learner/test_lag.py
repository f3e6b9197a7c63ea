"""A learner that falls behind says so, before the run and while it goes on; numbers by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import BlobWorld, record
from helpers.image_batches import CNN, make_agent, make_encoder
from helpers.small_agent import F
from helpers.small_agent import make as make_small
from hydra import compose, initialize_config_module

from commands.learner import learner_settings
from policies.common.tensor_file import digest
from policies.learner.lag import FIRST, LagWatch, seconds_an_update
from policies.learner.learner_config import LearnerConfig
from policies.learner.run_learner import run_learner
from policies.learner.schedule import Schedule
from policies.perception.encoders.frames import frame_fields
from robot.link.certificates import run_pair
from trajectories.types import Source

CONFIG = LearnerConfig(steps=300, warmup_steps=10, utd=1, batch=4, max_lag=250)


def watch(max_lag=500, hz=5.0):
    said = []
    return LagWatch(max_lag, hz, said.append), said


def test_before_the_run_it_says_whether_the_learner_keeps_up():
    lag, said = watch()
    lag.begin(0.031, "cpu")
    assert said == [
        "an update takes 31 ms on cpu, and the robot makes 5 steps a second at most, each of which asks for one: the "
        "learner keeps up."
    ]
    lag.begin(0.2, "cuda")  # exactly as fast
    assert said[-1].endswith("keeps up.")


def test_before_the_run_it_says_how_fast_it_falls_behind():
    """5 a second are asked for, 1 / 0.8 = 1.25 done: 3.75 a second, 225 a minute."""
    lag, said = watch(max_lag=400)
    lag.begin(0.8, "cpu")
    assert "800 ms on cpu" in said[0]
    assert "falls behind, by up to 225 updates a minute. At 400 updates behind the robot waits" in said[0]
    assert "finetune.freeze_encoder=true" in said[0]


def test_while_it_runs_it_says_so_at_each_doubling_and_when_it_has_caught_up():
    lag, said = watch(max_lag=500)
    heard = []
    for owed in (0, 199, 200, 250, 399, 401, 500, 900, 800, 300, 51, 50, 0, 210):
        before = len(said)
        lag.look(owed, 10, 5.0)  # half a second each
        heard += [owed] * (len(said) - before)
    assert heard == [200, 401, 900, 50, 210]
    assert said[0].startswith(
        "200 updates behind, 1.7 minutes of work: the policy has not learned from the robot's last 200 steps yet; the "
        "robot waits from 500 on (robot.max_lag)."
    )
    assert "900 updates behind" in said[2]
    assert "the robot waits for it (robot.max_lag=500)" in said[2]
    assert said[3] == "caught up with the robot again."
    assert said[4].startswith("210 updates behind")


def test_a_big_step_is_said_once_and_speed_is_that_of_the_newest_updates():
    lag, said = watch()
    lag.begin(1.0, "cpu")
    lag.look(40 * FIRST, 0, 9.0)  # nothing was done in those 9 s
    assert said[1].startswith("8000 updates behind, 133.3 minutes of work")
    lag.look(2 * FIRST, 1, 3.0)
    assert len(said) == 2
    lag.look(80 * FIRST, 1, 3.0)  # 0.9 (0.9 + 0.1 x 3) + 0.1 x 3 = 1.38 s each
    assert said[2].startswith("16000 updates behind, 368.0 minutes of work")


@pytest.mark.parametrize("images", [False, True])
def test_measuring_leaves_the_agent_as_it_is(images):
    agent = make_agent(make_encoder(CNN)) if images else make_small()
    fields = frame_fields(agent.encoder) if images else {"state": ((F,), torch.float32)}
    before, counters = digest(agent.state()[0]), agent.state()[1]
    assert seconds_an_update(agent, fields, Schedule(8, 2, 0, 0)) > 0
    assert (digest(agent.state()[0]), agent.state()[1]) == (before, counters)
    assert agent.encoder is None or any(entry.requires_grad for entry in agent.encoder.parameters())


def test_the_process_says_it_at_the_start_and_while_it_runs(open_learner, tmp_path):
    learner = open_learner(config=CONFIG)
    world = BlobWorld(np.random.default_rng(0), "red", "forward")
    world.reset()
    world.places["red"] = np.array([0.2, 0.0])
    rng = np.random.default_rng(1)
    episode = record(world, lambda _: rng.uniform(-1, 1, 7), steps=20, source=Source.POLICY)
    for number in range(15):
        learner.put_episode(replace(episode, id=f"{number:032x}"))
    said = []
    assert run_learner(learner, "127.0.0.1:0", run_pair(tmp_path), say=said.append, linger_s=0.0, actor_s=0.0)
    assert "an update takes" in said[0]
    assert "282 updates behind" in said[1]  # 300 steps - 10 of the warm-up - 8 of the first turn
    assert "the robot waits for it (robot.max_lag=250)" in said[1]
    assert said[2:] == ["caught up with the robot again."]


@pytest.mark.parametrize(("robot", "most"), [("twin", 80), ("virtual", 500), ("widowx", 500)])
def test_every_robot_waits_for_a_learner_that_is_far_behind(robot, most):
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("learner", [f"robot={robot}"])
    assert learner_settings(config).max_lag == most
