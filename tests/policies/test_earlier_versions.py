"""What earlier versions wrote still opens: stores, policy folders, checkpoints and runs of commit 106ae2a."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.blob_world import SPEC, BlobWorld
from helpers.line_world import ENV, line_data, small_agent

from policies.agent.checkpoint import load_agent
from policies.agent.config import NetworkConfig
from policies.gym.offline import OfflineTraining
from policies.gym.online import OnlineTraining
from policies.gym.settings import DataSettings, EvaluationSettings, Job, OfflineSettings, OnlineSettings
from policies.learner.learner import Learner
from policies.learner.learner_config import LearnerConfig
from policies.policy import load_policy
from trajectories.errors import CheckpointError, SpecMismatchError
from trajectories.store import TrajectoryStore

WRITTEN = Path(__file__).parents[1] / "fixtures" / "written_at_106ae2a"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())
JOB = Job(
    ENV,
    small_agent(networks=NetworkConfig(actor_hidden=(8, 8), critic_hidden=(8, 8), critics=2)),
    DataSettings(normalise=True),
    EvaluationSettings(episodes=2),
    seed=3,
)
OFFLINE = OfflineSettings(steps=20, batch=16, evaluate_every=10, checkpoint_every=10, log_every=5)
ONLINE = OnlineSettings(
    steps=60, batch=16, utd=2, warmup_steps=20, critic_only=5, capacity=200,
    evaluate_every=30, checkpoint_every=20, log_every=10,
)  # fmt: skip


@pytest.fixture
def written(tmp_path):
    return shutil.copytree(WRITTEN, tmp_path / "written")


def content(episode):
    digest = hashlib.sha256()
    for name in sorted(episode.images):
        digest.update(episode.images[name].tobytes())
    columns = ("proprio", "proposed", "executed", "rewards", "terminated", "truncated", "source")
    for column in columns:
        digest.update(getattr(episode, column).tobytes())
    return digest.hexdigest()


def test_a_store_reads_to_the_bit_and_takes_more(written):
    with TrajectoryStore(written / "store", SPEC) as store:
        found = {info.id: content(store.read(info.id)) for info in store.infos()}
        assert found == EXPECTED["episodes"]
        store.commit(replace(store.read(next(iter(found))), id="00000000000000000001-00000001"))
        assert len(list(store.infos())) == len(found) + 1


def test_a_policy_folder_acts_as_it_did(written):
    policy = load_policy(written / "pretrained", SPEC, seed=1)
    assert policy.digest == EXPECTED["policy_digest"]
    world = BlobWorld(np.random.default_rng(0), "red", "forward")
    world.reset()
    actions = [policy.act(world.observe(), deterministic=d) for d in (True, False, False)]
    np.testing.assert_allclose(actions, EXPECTED["actions"], atol=1e-4)


def test_a_checkpoint_of_pre_training_opens_and_one_of_another_robot_is_refused(written):
    loaded = load_agent(written / "pretrained" / "agent.safetensors", SPEC)
    assert loaded.agent.critic_updates == 4
    assert loaded.agent.finite
    with pytest.raises(SpecMismatchError):
        load_agent(written / "pretrained" / "agent.safetensors", replace(SPEC, cameras={"side": (8, 8)}))


def test_a_run_of_the_learner_goes_on(written):
    config = LearnerConfig(steps=80, warmup_steps=40, utd=2, batch=32, max_lag=40, checkpoint_every=10)
    learner = Learner(written / "run", written / "pretrained", SPEC, config)
    before = learner.status
    assert (before.steps, before.episodes, before.updates) == (60, 3, 20)
    with TrajectoryStore(written / "store", read_only=True) as store:
        learner.put_episode(store.read(next(iter(EXPECTED["episodes"]))))
    assert learner.train() > 0
    learner.close()
    assert learner.status.updates > before.updates


def test_training_on_a_gymnasium_environment_goes_on(written):
    offline = OfflineTraining(JOB, replace(OFFLINE, steps=25), line_data(10), written / "gym_offline", "cpu")
    offline.run()
    offline.close()
    start = WRITTEN / "gym_offline" / "agent.safetensors"
    settings = replace(ONLINE, steps=70)
    online = OnlineTraining(JOB, settings, written / "gym_online", start=start, data=line_data(10), device="cpu")
    online.run()
    online.close()
    rows = (written / "gym_online" / "metrics" / "metrics.jsonl").read_text().splitlines()
    assert max(json.loads(row)["step"] for row in rows) >= 70
    with pytest.raises(CheckpointError):
        OfflineTraining(replace(JOB, seed=4), OFFLINE, line_data(10), written / "gym_offline", "cpu")
