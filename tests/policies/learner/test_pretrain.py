"""Pre-training: the whole path, its baseline and what it refuses."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import FLOOR, GOAL, SPEC, BlobWorld, demos, fake_text, record
from helpers.small_policies import SMALL_CNN

from policies.agent.checkpoint import load_agent
from policies.agent.config import AgentConfig
from policies.learner.offline_data import offline_data
from policies.learner.policy_training import train_policy
from policies.learner.pretrain import AGENT_FILE, pretrain
from policies.learner.pretrain_config import PretrainConfig
from policies.perception.encoders.config import EncoderConfig
from policies.perception.keypoint_labels import label_keypoints
from policies.perception.keypoint_perception import KeypointPerception
from policies.policy import load_policy
from policies.replay.dataset import read_all
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Source


def test_the_folder_holds_one_policy_three_times_the_same(pretrained):
    policy = load_policy(pretrained, SPEC)
    loaded = load_agent(pretrained / AGENT_FILE, SPEC)
    observation = BlobWorld(np.random.default_rng(0)).reset()
    state = torch.from_numpy(policy.perception.state(observation))[None]
    row = policy.perception.instruction(observation.instruction)
    expected = loaded.agent.act(state, loaded.agent.table[row : row + 1], deterministic=True)[0].numpy()
    assert np.allclose(policy.act(observation, deterministic=True), expected, atol=1e-5)
    about = json.loads((pretrained / "pretraining.json").read_text())
    assert about["transitions"]["target"] > 0
    assert about["transitions"]["prior"] > 0
    assert "pick_cm" in about["encoder_errors"]
    assert set(about["place_trust"]) == {"forward", "backward"}


class Told(KeypointPerception):
    """Sees the hindsight keypoints themselves in place of the encoder's guess."""

    def episode(self, episode):
        return self._assemble(episode.proprio, label_keypoints(episode, SPEC.proprio).values)

    def told(self, world):
        pick = world.tip if world.held else [*world.object, FLOOR]
        points = np.array([[*pick, 0.0, 1.0, *GOAL[world.direction], FLOOR]], np.float32)
        return torch.from_numpy(self._assemble(world.observe().proprio[None], points))


def test_cloning_demonstrations_does_the_task_closed_loop(pretrained, small_pretraining):
    frozen = load_policy(pretrained).perception
    perception = Told(frozen.net, frozen.scaling, frozen.text, SPEC, "front")
    config = replace(small_pretraining, clone_steps=800, steps=0, batch=128, agent=AgentConfig())
    data = offline_data(demos(100, seed=30), "red_disc", perception, config, seed=0)
    agent, _ = train_policy(data, perception, config, seed=0)
    wins = 0
    for number in range(12):
        world = BlobWorld(np.random.default_rng((31, number)), "red", ("forward", "backward")[number % 2])
        world.reset()

        def act(observation, world=world):
            row = perception.instruction(observation.instruction)
            return agent.act(perception.told(world), agent.table[row : row + 1], deterministic=True)[0].numpy()

        wins += record(world, act, source=Source.POLICY).outcome == "success"
    assert wins >= 5


def test_no_steps_of_cal_ql_is_the_cloning_baseline(pretrained, demo_store, small_pretraining):
    store = TrajectoryStore(demo_store, read_only=True)
    perception = load_policy(pretrained).perception
    config = replace(small_pretraining, clone_steps=5, steps=0)
    data = offline_data(read_all([store]), "red_disc", perception, config, seed=0)
    agent, losses = train_policy(data, perception, config, seed=0)
    assert agent.critic_updates == 0
    assert agent.actor_updates == 5
    assert set(losses) == {"actor/clone"}


def test_only_where_there_are_keypoints_does_shrinking_places_decide_anything(small_pretraining):
    off = replace(small_pretraining, shrink_places=False)
    assert small_pretraining.identity() == {**off.identity(), "shrink_places": True}
    assert replace(small_pretraining, encoder=SMALL_CNN).identity() == replace(off, encoder=SMALL_CNN).identity()


def test_only_an_encoder_that_is_cloned_first_is_frozen_after_it(small_pretraining):
    def settles(**changes):
        return replace(small_pretraining, **{"encoder": EncoderConfig()} | changes).settles

    assert settles()
    assert not settles(freeze_encoder=False)
    assert not settles(clone_steps=0)
    assert not settles(encoder=None)
    assert not settles(encoder=EncoderConfig(frozen=True))
    assert not settles(begins_online=True)
    names = [replace(small_pretraining, **changes).identity().get("freeze_encoder") for changes in (
        {"encoder": EncoderConfig()}, {"encoder": EncoderConfig(), "freeze_encoder": False}, {},
    )]  # fmt: skip
    assert names == [True, None, None]


def test_the_target_share_of_every_batch(pretrained, demo_store, small_pretraining):
    store = TrajectoryStore(demo_store, read_only=True)
    perception = load_policy(pretrained).perception
    data = offline_data(read_all([store]), "red_disc", perception, small_pretraining, seed=0)
    red = [row for row, words in enumerate(perception.text.instructions) if "red" in words]
    batch = data.mixed(0.25).sample(64)
    assert np.isin(batch.instruction.numpy(), red).sum() == 16
    alone = replace(data, prior=None).mixed(0.25).sample(64)
    assert np.isin(alone.instruction.numpy(), red).all()


def test_what_cannot_work_is_refused(pretrained, demo_store, small_pretraining, tmp_path):
    store = TrajectoryStore(demo_store, read_only=True)
    perception = load_policy(pretrained).perception
    with pytest.raises(ConfigError, match="green_disc"):
        offline_data(read_all([store]), "green_disc", perception, small_pretraining, seed=0)
    with pytest.raises(ConfigError, match="at least one"):
        PretrainConfig(clone_steps=0, steps=0)
    with pytest.raises(ConfigError, match="at least one store"):
        pretrain([], "red_disc", {}, fake_text, "fake", small_pretraining, tmp_path)
    wrist = replace(small_pretraining, camera="wrist")
    with pytest.raises(ConfigError, match="no camera 'wrist'"):
        pretrain([store], "red_disc", {}, fake_text, "fake", wrist, tmp_path)


def test_progress_counts_every_stage_to_its_end(demo_store, small_pretraining, tmp_path):
    store = TrajectoryStore(demo_store, read_only=True)
    seen = {}
    config = replace(small_pretraining, clone_steps=3, steps=2, keypoints=replace(small_pretraining.keypoints, steps=4))

    def progress(stage, done, total):
        seen[stage] = (done, total)

    pretrain([store], "red_disc", {}, fake_text, "fake", config, tmp_path / "policy", progress=progress)
    assert seen == {"keypoints": (4, 4), "policy": (5, 5)}


@pytest.mark.parametrize("held_out", [0.0, 0.4])
def test_a_damaged_episode_is_left_out_with_a_word(small_pretraining, tmp_path, caplog, held_out):
    episodes = demos(8, seed=2)
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in episodes:
            store.commit(episode)
    broken = [episode for episode in episodes if episode.task == "red_disc"][1]
    files = (tmp_path / "store" / "episodes" / broken.id).rglob("*")
    largest = max((file for file in files if file.is_file()), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 8
    largest.write_bytes(content)
    config = replace(
        small_pretraining, clone_steps=2, steps=2, held_out=held_out, encoder=SMALL_CNN,
    )  # fmt: skip
    with TrajectoryStore(tmp_path / "store", SPEC, read_only=True) as store:
        about = pretrain([store], "red_disc", {}, fake_text, "fake", config, tmp_path / "policy")
    assert re.search(f"without a damaged episode: .*{broken.id}", caplog.text)
    if held_out == 0:
        whole = sum(len(episode) for episode in episodes if episode.task == "red_disc")
        assert about["transitions"]["target"] == whole - len(broken)
