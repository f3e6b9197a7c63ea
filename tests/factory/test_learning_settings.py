"""`agent.n_step`, `agent.critic_loss` and `replay.device` reach the loss on every path; numbers by hand.

All critics' outputs are zero: every logit is alike, a value is the middle of the range, a cross-entropy is log(bins).
"""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, fake_text, record
from helpers.line_world import ENV, line_data
from hydra import compose, initialize_config_module

from commands import learner as learner_verb
from commands.gym.job import gym_run, offline_settings, online_settings
from commands.learner import open_learner
from commands.pretrain import pretrain_config
from commands.verbs import VERBS
from factory.policy import agent_config, feeding_of, online_agent_config, with_critic_loss
from policies.agent.config import AgentConfig
from policies.gym.offline import OfflineTraining
from policies.gym.online import OnlineTraining
from policies.gym.settings import DataSettings
from policies.learner.learner_config import LearnerConfig
from policies.learner.offline_data import offline_data
from policies.learner.policy_training import PolicyTraining
from policies.learner.pretrain import pretrain
from policies.policy import load_policy
from policies.replay import replay_settings
from policies.replay.replay_memory import replay_bytes
from policies.replay.replay_settings import ReplaySettings
from policies.replay.source_weights import ALIKE
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Source

THREE_STEPS = ("agent.n_step=3", "agent.critic_loss=hl_gauss", "agent.critic_range=[-20,0]", "replay.device=cpu")
SMALL = ("method.batch=8", "agent.networks.critics=2", "agent.networks.critic_hidden=[8]")
ARM = -(1 + 0.95 + 0.95**2) + 0.95**3 * -10.0
GYMNASIUM = -(1 + 0.99 + 0.99**2) + 0.99**3 * -10.0


def settings(verb, *overrides):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        return compose(VERBS[verb].config_name, list(overrides))


def first_update(agent, replay):
    """Target and loss of the critics on the replay's first transition alone."""
    with torch.no_grad():
        for network in (agent.critics, agent.targets):
            network.out_weight.zero_()
            network.out_bias.zero_()
    metrics = agent.update(replay.gather(torch.tensor([0])))
    return float(metrics["critic/target"]), float(metrics["critic/td"])


def failure(steps=20):
    """An episode that reaches nothing: -1 for each step."""
    world = BlobWorld(np.random.default_rng(0), "red", "forward")
    world.reset()
    world.places["red"] = np.array([0.2, 0.0])  # on neither side: no success ends the episode
    rng = np.random.default_rng(1)
    return record(world, lambda _: rng.uniform(-1, 1, 7), steps=steps, source=Source.POLICY)


@pytest.fixture(scope="module")
def small_policy(tmp_path_factory, demo_store):
    """A run folder with a pre-trained policy of these settings."""
    run = tmp_path_factory.mktemp("run")
    config = replace(
        pretrain_config(settings("pretrain", "profile=tiny", "pretrain.encoder_steps=1", *SMALL, *THREE_STEPS), "cpu"),
        clone_steps=1, steps=1,
    )  # fmt: skip
    with TrajectoryStore(demo_store, read_only=True) as store:
        pretrain([store], "red_disc", {}, fake_text, "fake", config, run / "pretrained")
    return run, config


def test_robot_pretraining(small_policy):
    run, config = small_policy
    perception = load_policy(run / "pretrained", SPEC).perception
    data = offline_data([failure()], "red_disc", perception, config, seed=0)
    training = PolicyTraining(data, perception, config, seed=0)
    assert first_update(training.agent, data.target) == (pytest.approx(ARM), pytest.approx(math.log(101)))


def test_robot_finetuning(small_policy, monkeypatch):
    run, _ = small_policy
    config = settings("learner", f"run_dir={run}", "finetune.replay_bytes=1e7", *SMALL, *THREE_STEPS)
    monkeypatch.setattr(learner_verb, "spec_of", lambda _: SPEC)
    with contextlib.ExitStack() as stack:
        learner = open_learner(config, stack)
        learner.put_episode(failure())
        learner.train(0)
        learner._take_in()
        learner.trainer.agent.set_phase("online")
        assert first_update(learner.trainer.agent, learner._kept.replay) == (
            pytest.approx(ARM),
            pytest.approx(math.log(101)),
        )
        learner.store.close()


@pytest.mark.parametrize("verb", ["pretrain env=ID", "finetune env=ID"])
def test_gymnasium(verb, tmp_path):
    config = settings(verb, "env=umaze", f"run_dir={tmp_path}", *THREE_STEPS)
    run = gym_run(config)
    job = replace(run.job, env=ENV, data=DataSettings())
    if verb.startswith("pretrain"):
        training = OfflineTraining(job, offline_settings(config, run, 1), line_data(), tmp_path)
    else:
        training = OnlineTraining(job, replace(online_settings(config, run, 1), capacity=500), tmp_path)
        long = max(line_data().episodes, key=len)
        training.policy.preparation.add(training._replay, long, Source.POLICY)
    found = first_update(training.policy.agent, training._replay)
    training.close()
    assert found == (pytest.approx(GYMNASIUM), pytest.approx(math.log(101)))


@pytest.mark.parametrize("method", ["regrasp", "iql", "rlpd"])
def test_every_method_of_the_arm_takes_them(method):
    agent = agent_config(settings("pretrain", f"method={method}", "agent.n_step=5", "agent.critic_loss=hl_gauss"))
    histogram = agent.networks.critic_bins
    assert agent.n_step == 5
    assert (histogram.low, histogram.high, histogram.bins) == (pytest.approx(-21.0), pytest.approx(1.0), 101)
    plain = agent_config(settings("pretrain", f"method={method}"))
    assert (plain.n_step, plain.networks.critic_bins) == (1, None)


def test_where_progress_shapes_rewards_targets_may_lie_lower_by_what_it_is_worth():
    def ranged(*overrides):
        return online_agent_config(settings("learner", *overrides)).target_range

    assert (ranged(), ranged("finetune.shaping=10")) == ((-20.0, 0.0), (-30.0, 0.0))
    assert ranged("finetune.shaping=10", "method=rlpd") is None
    classifies = ("finetune.shaping=10", "agent.critic_loss=hl_gauss")
    for method in ("regrasp", "rlpd"):
        with pytest.raises(ConfigError, match=r"returns as low as -30.*from -21 on.*critic_range=\[-30,0\]"):
            ranged(*classifies, f"method={method}")
        ranged(*classifies, f"method={method}", "agent.critic_range=[-30,0]")


def test_a_loss_without_a_range_or_of_another_name_is_refused():
    agent = replace(AgentConfig(), target_range=None)
    with pytest.raises(ConfigError, match=r"critic_range=None: expected \[lowest, highest\]"):
        with_critic_loss(agent, "hl_gauss", None)
    with pytest.raises(ConfigError, match="expected mse, hl_gauss"):
        with_critic_loss(agent, "huber", None)
    classifying = with_critic_loss(agent, "hl_gauss", [0, 100])
    assert (classifying.networks.critic_bins.low, classifying.networks.critic_bins.high) == (-5.0, 105.0)
    assert with_critic_loss(classifying, None, None) == classifying
    assert with_critic_loss(classifying, "mse", None) == agent


def test_settings_of_before_are_written_as_before():
    assert "n_step" not in AgentConfig().to_dict()
    assert AgentConfig.from_dict(AgentConfig(n_step=3).to_dict()).n_step == 3


def test_a_replay_lies_where_it_is_wanted_or_where_there_is_room(monkeypatch):
    """1,000 frames of 100 float32 and a transition of 69 bytes each: 469,000 bytes."""
    needed = replay_bytes(1000, 1000, {"state": ((100,), torch.float32)}, 7, ALIKE)
    assert needed == 469_000

    def place(keep, device, free):
        monkeypatch.setattr(replay_settings, "available_bytes", lambda _: free)
        return ReplaySettings(keep=keep).storage_device(device, needed).type

    assert place("auto", "cuda", 938_000) == "cuda"  # just half of what is free
    assert place("auto", "cuda", 937_999) == "cpu"
    assert place("cpu", "cuda", 10**12) == "cpu"
    assert place("cuda", "cuda", 0) == "cuda"
    assert place("auto", "cpu", 0) == "cpu"
    with pytest.raises(ConfigError, match=r"replay\.device=cuda keeps transitions on a GPU"):
        place("cuda", "cpu", 0)


@pytest.mark.parametrize(
    ("verb", "settings_of"),
    [
        ("pretrain", lambda config: pretrain_config(config, "cpu")),
        ("pretrain env=ID", lambda config: offline_settings(config, gym_run(config), 10)),
        ("finetune env=ID", lambda config: online_settings(config, gym_run(config), 10)),
        ("learner", lambda config: LearnerConfig(replay_device=config.replay.device)),
    ],
)
def test_an_unknown_place_is_refused_on_every_path(verb, settings_of, tmp_path):
    config = settings(verb, "replay.device=disk", f"run_dir={tmp_path}")
    with pytest.raises(ConfigError, match=r"replay\.device=disk is unknown; expected one of auto, cpu, cuda"):
        settings_of(config)


def test_a_place_on_a_gpu_is_refused_for_updates_on_the_processor(small_policy):
    run, config = small_policy
    perception = load_policy(run / "pretrained", SPEC).perception
    with pytest.raises(ConfigError, match="compute=cuda"):
        offline_data([failure()], "red_disc", perception, replace(config, replay_device="cuda"), seed=0)


@pytest.mark.parametrize("method", ["regrasp", "iql"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("agent.n_step=2.5", "agent.n_step=2.5 is of the wrong kind; expected a whole number"),
        ("agent.n_step=true", "agent.n_step=True is of the wrong kind; expected a whole number"),
        ("agent.n_step=abc", "agent.n_step='abc' is of the wrong kind"),
        ("method.utd=0", "method.utd=0 is out of range"),
        ("method.batch=-1", "method.batch=-1 is out of range"),
    ],
)
def test_numbers_are_not_rounded_or_replaced_in_silence(method, override, message):
    config = settings("pretrain", f"method={method}", override)
    with pytest.raises(ConfigError, match=message):
        (feeding_of(config), agent_config(config))


@pytest.mark.parametrize("values", ["5", "ab", "[a,b]", "[null,0]", "[5,-5]"])
def test_a_range_that_is_none_is_refused(values):
    config = settings("pretrain", "agent.critic_loss=hl_gauss", f"agent.critic_range={values}")
    with pytest.raises(ConfigError, match=r"expected \[lowest, highest\] return"):
        agent_config(config)


def test_an_encoder_that_cloning_freezes_cant_be_trained_online():
    given = ["profile=tiny", "encoder=cnn", "finetune.freeze_encoder=false"]
    with pytest.raises(ConfigError, match=r"pretrain\.freeze_encoder=true freezes after cloning"):
        pretrain_config(settings("pretrain", *given), "cpu")
    for more in ("pretrain.freeze_encoder=false", "pretrain.steps=0", "method=calql"):
        pretrain_config(settings("pretrain", *given, more), "cpu")
