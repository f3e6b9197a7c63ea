"""Small policies, pre-trained once on the disc world for all tests of this room."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from blob_world import GOAL, SPEC, demos, fake_text, instruction

from policies.agent.config import AgentConfig, NetworkConfig
from policies.learner.learner import Learner
from policies.learner.pretrain import PretrainConfig, pretrain
from policies.perception.encoders.config import CnnConfig, EncoderConfig
from policies.perception.keypoint_training import KeypointConfig
from trajectories.store import TrajectoryStore

SMALL = AgentConfig(networks=NetworkConfig(actor_hidden=(64, 64), critic_hidden=(32, 32), critics=2))
SMALL_CNN = EncoderConfig(CnnConfig((8, 8), (4, 2)), width=12, proprio_width=8, displacement=2)
RED_WORDINGS = {direction: [instruction("red", direction)] for direction in GOAL}


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    with TrajectoryStore(path, SPEC) as store:
        for episode in demos(24, seed=1):
            store.commit(episode)
    return path


@pytest.fixture(scope="session")
def small_pretraining() -> PretrainConfig:
    return PretrainConfig(
        clone_steps=60, steps=20, batch=64, agent=SMALL,
        keypoints=KeypointConfig(steps=40, batch=16),
    )  # fmt: skip


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory, demo_store, small_pretraining) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "pretrained"
    torch.set_num_threads(1)
    store = TrajectoryStore(demo_store, read_only=True)
    pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", small_pretraining, folder, seed=3)
    return folder


@pytest.fixture(scope="session")
def pretrained_on_images(tmp_path_factory, demo_store, small_pretraining) -> Path:
    """The same behind an image encoder that the critics train."""
    folder = tmp_path_factory.mktemp("policy") / "pretrained"
    torch.set_num_threads(1)
    store = TrajectoryStore(demo_store, read_only=True)
    config = replace(small_pretraining, clone_steps=10, steps=10, encoder=SMALL_CNN)
    pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, folder, seed=3)
    return folder


@pytest.fixture
def open_learner(tmp_path, pretrained):
    """Makes learners, by the name of their run's folder; their stores are closed in the end."""
    opened = []

    def build(name="run", *, config, folder=pretrained, **settings):
        learner = Learner(tmp_path / name, folder, SPEC, config, **settings)
        opened.append(learner)
        return learner

    yield build
    for learner in opened:
        learner.store.close()
