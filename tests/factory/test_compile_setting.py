"""`agent.compile` on every path: robot pre-training and fine-tuning, Gymnasium offline and online."""

import contextlib
from dataclasses import replace

import pytest
from helpers.blob_world import SPEC, fake_text
from helpers.killable_pretraining import SETTINGS, train
from hydra import compose, initialize_config_module

from commands import learner as learner_verb
from commands.gym import finetune as gym_finetune
from commands.gym import pretrain as gym_pretrain
from commands.gym.job import gym_run
from commands.learner import open_learner
from commands.pretrain import pretrain_config
from commands.verbs import VERBS
from factory.policy import agent_config, with_compile
from policies.agent.compile_choice import Workload
from policies.agent.config import AgentConfig
from policies.learner.pretrain import policy_checkpoint, pretrain
from policies.learner.pretrain_config import PretrainConfig
from policies.perception.keypoint_config import KeypointConfig
from trajectories.store import TrajectoryStore


def settings(verb, *overrides):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        return compose(VERBS[verb].config_name, list(overrides))


@pytest.mark.parametrize(
    ("overrides", "compiles", "said"),
    [
        ([], False, "1,000 updates would save"),
        (["pretrain.steps=50000"], True, "50,000 updates would save"),
        (["pretrain.steps=50000", "method=bc"], False, "0 updates"),
        (["pretrain.steps=50000", "method=rlpd"], False, "0 updates"),
        (["pretrain.steps=50000", "agent.compile=false"], False, ""),
        (["agent.compile=true"], True, ""),
    ],
)
def test_robot_pretraining(overrides, compiles, said, tmp_path, capsys):
    config = settings("pretrain", "workers=1", f"run_dir={tmp_path}", *overrides)
    assert pretrain_config(config, "cpu").agent.compile is compiles
    assert said in capsys.readouterr().out


def test_a_run_keeps_to_what_it_began_with(tmp_path, demo_store, capsys):
    train(demo_store, tmp_path, replace(SETTINGS, steps=1))
    config = settings("pretrain", "workers=1", "pretrain.steps=50000")
    work = [Workload(AgentConfig().offline, 50_000, 256)]
    agent = with_compile(AgentConfig(), config, work, "cpu", policy_checkpoint(tmp_path))
    assert not agent.compile
    assert "as the run was begun" in capsys.readouterr().out
    assert policy_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize(("steps", "compiles"), [(2000, False), (6000, True)])
def test_robot_finetuning(steps, compiles, tmp_path, demo_store, monkeypatch):
    config = settings(
        "learner", "workers=1", f"run_dir={tmp_path}", f"finetune.steps={steps}", "agent.networks.critics=10",
        "finetune.replay_bytes=1e7",
    )  # fmt: skip
    monkeypatch.setattr(learner_verb, "spec_of", lambda _: SPEC)
    training = PretrainConfig(clone_steps=1, steps=1, batch=8, agent=agent_config(config),
                              keypoints=KeypointConfig(steps=1, batch=8))  # fmt: skip
    with TrajectoryStore(demo_store, read_only=True) as store:
        pretrain([store], "red_disc", {}, fake_text, "fake", training, tmp_path / "pretrained")
    with contextlib.ExitStack() as stack:
        learner = open_learner(config, stack)
        learner.store.close()
    assert learner.config.agent.compile is compiles


class Opened(Exception):
    """Carries the agent's settings out of a training that is about to begin."""


@pytest.mark.parametrize(
    ("verb", "module", "name", "steps", "compiles"),
    [
        ("pretrain env=ID", gym_pretrain, "OfflineTraining", 2000, False),
        ("pretrain env=ID", gym_pretrain, "OfflineTraining", 100_000, True),
        ("finetune env=ID", gym_finetune, "OnlineTraining", 10_000, False),
        ("finetune env=ID", gym_finetune, "OnlineTraining", 200_000, True),
    ],
)
def test_gymnasium(verb, module, name, steps, compiles, tmp_path, monkeypatch):
    def opened(job, *_, **__):
        raise Opened(job.agent.compile)

    monkeypatch.setattr(module, name, opened)
    monkeypatch.setattr(module, "dataset_of", lambda *_: _Nothing())
    config = settings(verb, "env=umaze", f"run_dir={tmp_path}")
    run = gym_run(config)
    assert run.job.agent.compile is False
    run.start.parent.mkdir()
    run.start.touch()
    with pytest.raises(Opened) as caught:
        module.train(config, run, steps, *([run.start] if module is gym_finetune else []))
    assert caught.value.args == (compiles,)


class _Nothing:
    source = "nothing"

    def describe(self):
        return "no data"
