"""Every method of the registry on the robot's path: settings, pre-training, fine-tuning in process."""

import contextlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import GOAL, SPEC, BlobWorld, demos, fake_text, instruction, record
from hydra import compose, initialize_config_module

from commands.learner import open_learner
from factory.policy import agent_config, feeding_of, require_online
from factory.run_folders import pretrained_folder
from policies.agent.methods import METHODS, method
from policies.learner.learner import Learner
from policies.learner.learner_config import LearnerConfig
from policies.learner.pretrain import pretrain
from policies.learner.pretrain_config import PretrainConfig
from policies.perception.keypoint_config import KeypointConfig
from policies.policy import load_policy
from trajectories.errors import ConfigError
from trajectories.labels import relabel
from trajectories.store import TrajectoryStore
from trajectories.types import ACTION_SIZE, Source

ONLINE = sorted(name for name in METHODS.own if method(name, ACTION_SIZE).online)
WORDINGS = {direction: [instruction("red", direction)] for direction in GOAL}


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", overrides=["workers=1", *overrides])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("methods") / "store"
    with TrajectoryStore(path, SPEC) as opened:
        for episode in demos(6, seed=1):
            opened.commit(episode)
    return path


@pytest.mark.parametrize("name", sorted(METHODS.own))
def test_a_methods_settings_are_the_published_ones_but_for_what_an_arm_needs(name):
    config = settings(f"method={name}")
    published = method(name, ACTION_SIZE, "adroit")
    agent, feeding = agent_config(config), feeding_of(config)
    phases = {
        phase: replace(published.agent.phase(phase), clone_all=False) for phase in ("offline", "warmup", "online")
    }
    temperature = published.agent.initial_temperature if published.pretrains else 0.05
    expected = replace(published.agent.with_hidden((256, 256)), gamma=0.95, initial_temperature=temperature, **phases)
    assert agent == expected
    assert (feeding.online, feeding.batch) == (published.online, published.batch)
    assert feeding.retention == published.offline_ratio
    assert feeding.utd == (4 if published.utd == 20 else published.utd)
    steps = config.pretrain.clone_steps + config.pretrain.steps
    assert (feeding.pretrains, feeding.clone_steps, feeding.steps) == (published.pretrains, 0, steps)
    assert pretrained_folder(config).name == f"pretrained_{name}"


def test_a_persons_settings_come_before_the_published_ones():
    config = settings("method=rlpd", "method.utd=2", "method.retention=0.25", "method.batch=32", "method.hidden=null")
    feeding = feeding_of(config)
    assert (feeding.utd, feeding.retention, feeding.batch) == (2, 0.25, 32)
    assert agent_config(config).networks.critic_hidden == (256, 256, 256)
    assert agent_config(settings("method=rlpd", "method.initial_temperature=0.3")).initial_temperature == 0.3


def test_the_default_is_the_demos_own_and_shares_its_start_with_retention():
    default, mixed = settings(), settings("method=retention")
    assert default.method.name == "regrasp"
    assert agent_config(default) == agent_config(mixed)
    assert pretrained_folder(default) == pretrained_folder(mixed)
    assert (feeding_of(default).retention, feeding_of(mixed).retention) == (0.0, 0.5)


@pytest.mark.parametrize("name", ["regrasp", "wsrl", "wsrl_kl", "sac", "redq"])
def test_a_method_that_keeps_nothing_of_the_offline_data_refuses_a_share_of_it(name):
    instead = "method=retention" if name == "regrasp" else "method=rlpd"
    with pytest.raises(ConfigError, match=rf"method={name} keeps nothing.*{instead}.*with method.retention=0.5"):
        feeding_of(settings(f"method={name}", "method.retention=0.5"))
    assert feeding_of(settings(f"method={name}", "method.retention=0")).retention == 0


def test_retention_takes_any_share_but_none():
    assert feeding_of(settings("method=retention", "method.retention=0.25")).retention == 0.25
    with pytest.raises(ConfigError, match="is method=regrasp"):
        feeding_of(settings("method=retention", "method.retention=0"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("method.corrections=both", r"corrections=both.*person_weight.*method=rlpd"),
        ("method.offline=all", r"method\.offline=all.*keeps none.*method=rlpd"),
    ],
)
def test_settings_of_offline_data_are_refused_where_none_is_kept(given, message):
    with pytest.raises(ConfigError, match=message):
        require_online(settings(given))
    require_online(settings("method=rlpd", given))


@pytest.mark.parametrize("given", ["method.corrections=demonstrations", "method.offline=prior"])
def test_unknown_choices_are_refused_with_the_known_ones(given, store, tmp_path):
    with pytest.raises(ConfigError, match=r"is unknown; expected one of (online, both|target, successes, all)"):
        finetuning(store, tmp_path, "method=rlpd", given)


def finetuning(store, run_dir, *overrides):
    """The learner that `regrasp finetune` opens on a run folder with the disc world's data."""
    words = ",".join(f"{direction}:{texts}" for direction, texts in WORDINGS.items())
    config = settings(
        f"run_dir={run_dir}", "task.name=red_disc", "robot.image_size=64", "method.hidden=[16,16]", "method.batch=16",
        "finetune.steps=60", "finetune.warmup_steps=10", f"+task.instructions={{{words}}}", *overrides,
    )  # fmt: skip
    data = run_dir / "data"
    if not data.exists():
        shutil.copytree(store, data)
        training = PretrainConfig(
            begins_online=True, batch=16, agent=agent_config(config), keypoints=KeypointConfig(steps=2, batch=8)
        )
        folder = pretrained_folder(config)
        pretrain([TrajectoryStore(data, read_only=True)], "red_disc", WORDINGS, fake_text, "fake", training, folder)
    return open_learner(config, contextlib.ExitStack())


def corrected(source):
    """An episode of 20 steps that fails, of that source."""
    world = BlobWorld(np.random.default_rng(0), "red", "forward")
    world.reset()
    world.places["red"] = np.array([0.2, 0.0])
    rng = np.random.default_rng(1)
    return record(world, lambda _: rng.uniform(-1, 1, 7), steps=20, source=source)


def test_finetune_draws_a_persons_steps_beside_the_demonstrations_where_asked_to(store, tmp_path):
    shares = {}
    for corrections in ("online", "both"):
        learner = finetuning(store, tmp_path, "method=rlpd", f"method.corrections={corrections}")
        for source in (Source.POLICY, Source.PERSON):
            learner.put_episode(corrected(source))
        learner.train(5)
        offline = len(learner.trainer.source.offline)
        shares[corrections] = (learner.trainer.source.sample(8000).source[4000:] == Source.PERSON).float().mean().item()
        learner.close()
        shutil.rmtree(learner.folder.path)
    assert shares["online"] == 0
    assert shares["both"] == pytest.approx(20 / (20 + offline), abs=0.04)


def test_finetune_keeps_the_offline_data_that_were_asked_for(store, tmp_path):
    """Of 6 demonstrations, 3 are of the red disc, in both directions; one of them is turned into a failure."""
    path = tmp_path / "store"
    with TrajectoryStore(store, read_only=True) as made, TrajectoryStore(path, SPEC) as opened:
        episodes = [made.read(name) for name in made.ids()]
        red = [episode for episode in episodes if episode.task == "red_disc"]
        assert {episode.direction for episode in red[1:]} == set(GOAL)
        for episode in episodes:
            opened.commit(relabel(episode, "failure") if episode is red[0] else episode)
    held = {}
    for kept in ("target", "successes", "all"):
        learner = finetuning(path, tmp_path / kept, "method=rlpd", f"method.offline={kept}")
        held[kept] = len(learner.trainer.source.offline)
        learner.close()
    assert held == {
        "target": sum(map(len, red)), "successes": sum(map(len, red[1:])), "all": sum(map(len, episodes)),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["bc", "bc_deterministic"])
def test_cloning_does_not_go_online(name, tmp_path):
    config = settings(f"method={name}", f"run_dir={tmp_path}")
    pretrained_folder(config).mkdir()
    with pytest.raises(ConfigError, match=r"recorded data only.*method=regrasp"):
        open_learner(config, None)


@pytest.mark.parametrize("name", sorted(METHODS.own))
def test_every_method_is_pretrained_and_goes_on_online(name, store, tmp_path):
    torch.set_num_threads(1)
    config = settings(f"method={name}", "method.hidden=[16,16]", "method.batch=16", "pretrain.steps=3")
    feeding, data = feeding_of(config), [TrajectoryStore(store, read_only=True)]
    training = PretrainConfig(
        clone_steps=0, steps=3, begins_online=not feeding.pretrains, batch=16, agent=agent_config(config),
        keypoints=KeypointConfig(steps=2, batch=8),
    )  # fmt: skip
    folder = tmp_path / "pretrained"
    pretrain(data, "red_disc", WORDINGS, fake_text, "fake", training, folder, seed=3)
    world = BlobWorld(np.random.default_rng(0), "red", "forward")
    world.reset()
    for deterministic in (True, False):
        action = load_policy(folder, SPEC).act(world.observe(), deterministic)
        assert action.shape == (ACTION_SIZE,)
        assert np.isfinite(action).all()
        assert np.abs(action).max() <= 1
    if name not in ONLINE:
        return
    learning = LearnerConfig(
        steps=60, warmup_steps=10, retention=feeding.retention, utd=feeding.utd, batch=feeding.batch,
        agent=agent_config(config),
    )  # fmt: skip
    learner = Learner(tmp_path / "run", folder, SPEC, learning, offline=data, task="red_disc")
    before = {key: tensor.clone() for key, tensor in learner.trainer.agent.actor.state_dict().items()}
    world.places["red"] = np.array([0.2, 0.0])  # on neither side: no success ends the episode
    rng = np.random.default_rng(1)
    learner.put_episode(record(world, lambda _: rng.uniform(-1, 1, 7), steps=20, source=Source.POLICY))
    assert learner.train() == 10
    assert learner.status.updates == 10
    assert any(not torch.equal(before[key], now) for key, now in learner.trainer.agent.actor.state_dict().items())
    expert = (learner.trainer.source.sample(64).source == Source.EXPERT).float().mean()
    assert expert == feeding.retention
    learner.close()
