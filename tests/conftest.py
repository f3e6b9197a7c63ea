"""What every test may count on, however the tests were started, and the fixtures that several folders share.

Rooms are imported where a fixture is made: a test that needs none of them doesn't wait for torch.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell: processes inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # started by nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def state_folder(tmp_path_factory):
    """Records of holds and faults of tests don't go where those of this computer's arms are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


# A server that speaks S3.


@pytest.fixture(scope="session")
def s3_process(tmp_path_factory):
    from helpers.s3_server import s3_server

    with s3_server(tmp_path_factory.mktemp("buckets")) as server:
        yield server


@pytest.fixture
def s3(s3_process, tmp_path, monkeypatch):
    """A server that speaks S3, as the environment names it; copies from it go below `tmp_path`/cache."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_process.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return s3_process


# Small policies, pre-trained once on the disc world.


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory) -> Path:
    from helpers.blob_world import SPEC, demos

    from trajectories.store import TrajectoryStore

    path = tmp_path_factory.mktemp("data") / "store"
    with TrajectoryStore(path, SPEC) as store:
        for episode in demos(24, seed=1):
            store.commit(episode)
    return path


@pytest.fixture(scope="session")
def small_pretraining():
    """Settings of a short pre-training."""
    from helpers.small_policies import SMALL

    from policies.learner.pretrain_config import PretrainConfig
    from policies.perception.keypoint_config import KeypointConfig

    return PretrainConfig(
        clone_steps=60, steps=20, batch=64, agent=SMALL,
        keypoints=KeypointConfig(steps=40, batch=16),
    )  # fmt: skip


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory, demo_store, small_pretraining) -> Path:
    return _pretrained(tmp_path_factory, demo_store, small_pretraining)


@pytest.fixture(scope="session")
def pretrained_on_images(tmp_path_factory, demo_store, small_pretraining) -> Path:
    """The same behind an image encoder that the critics train."""
    from helpers.small_policies import SMALL_CNN

    config = replace(small_pretraining, clone_steps=10, steps=10, encoder=SMALL_CNN, freeze_encoder=False)
    return _pretrained(tmp_path_factory, demo_store, config)


def _pretrained(tmp_path_factory, demo_store, config) -> Path:
    import torch
    from helpers.blob_world import fake_text
    from helpers.small_policies import RED_WORDINGS

    from policies.learner.pretrain import pretrain
    from trajectories.store import TrajectoryStore

    folder = tmp_path_factory.mktemp("policy") / "pretrained"
    torch.set_num_threads(1)
    store = TrajectoryStore(demo_store, read_only=True)
    pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, folder, seed=3)
    return folder


@pytest.fixture
def open_learner(tmp_path, pretrained):
    """Makes learners, by the name of their run's folder; their stores are closed in the end."""
    from helpers.blob_world import SPEC

    from policies.learner.learner import Learner

    opened = []

    def build(name="run", *, config, folder=pretrained, **settings):
        learner = Learner(tmp_path / name, folder, SPEC, config, **settings)
        opened.append(learner)
        return learner

    yield build
    for learner in opened:
        learner.store.close()


# The shipped backbone, loaded once, and synthetic episodes whose success can be seen.


@pytest.fixture(scope="session")
def backbone():
    import torch

    from rewards.backbone import load_backbone

    torch.set_num_threads(1)
    return load_backbone()


@pytest.fixture(scope="session")
def spec():
    from helpers.sliding_square import SPEC

    return SPEC


@pytest.fixture(scope="session")
def episodes():
    from helpers.sliding_square import make_episode

    rng = np.random.default_rng(0)
    kinds = [(d, o) for d in ("forward", "backward") for o in ("success",) * 8 + ("failure",) * 6]
    return [make_episode(rng, i, direction, outcome) for i, (direction, outcome) in enumerate(kinds)]
