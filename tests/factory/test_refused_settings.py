"""Settings of learning that are of the wrong type, out of range, unknown or unread are refused with their key."""

from dataclasses import fields

import pytest
from helpers import ROOT
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from commands.learner import learner_settings
from commands.pretrain import pretrain_config
from factory.policy import agent_config, encoder_config, feeding_of
from policies.learner.learner_config import LearnerConfig
from policies.learner.pretrain_config import PretrainConfig
from trajectories.errors import ConfigError


def settings(*overrides, **options):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", list(overrides), **options)


def read(config):
    """Everything that learning reads of the settings."""
    encoder_config(config), agent_config(config), feeding_of(config)
    return pretrain_config(config, "cpu"), learner_settings(config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("agent.networks.critics=two", r"agent\.networks\.critics='two'.*whole number"),
        ("agent.networks.critics=2.5", r"agent\.networks\.critics=2\.5.*whole number"),
        ("agent.networks.critics=0", r"critics=0 is out of range"),
        ("agent.networks.actor_hidden=256", r"agent\.networks\.actor_hidden=256.*list of whole numbers"),
        ("agent.networks.actor_hidden=[64,0]", r"actor_hidden=\(64, 0\)"),
        ("+agent.tau=abc", r"agent\.tau='abc'.*finite number"),
        ("agent.offline=5", r"agent\.offline=5.*settings by name"),
        ("+agent.target_range=[-20]", r"agent\.target_range=\[-20\].*a list of 2"),
        ("agent.gamma=much", r"agent\.gamma='much'.*finite number"),
        ("agent.bf16=no_thanks", r"agent\.bf16='no_thanks'.*true or false"),
        ("+agent.online.bc_wieght=1", r"agent\.online has no setting 'bc_wieght'"),
        ("+agent.netwoks=1", r"agent has no setting 'netwoks'"),
        ("method.utd=2.5", r"method\.utd=2\.5.*whole number"),
        ("method.person_weight=often", r"method\.person_weight='often'.*finite number"),
        ("method.hidden=[64]", r"method\.hidden=\(64,\) belongs to the published methods"),
        ("method.utd=null", r"method\.utd=null takes a published value, and method=regrasp has none"),
        ("+method.initial_temperature=0.1", r"method\.initial_temperature=0\.1.*give agent\.initial_temperature"),
        ("+method.uttd=4", r"method has no setting 'uttd'"),
        ("finetune.steps=many", r"finetune\.steps='many'.*whole number"),
        ("finetune.steps=2.5", r"finetune\.steps=2\.5.*whole number"),
        ("finetune.freeze_encoder=maybe", r"finetune\.freeze_encoder='maybe'.*true or false"),
        ("+finetune.setps=9", r"finetune has no setting 'setps'; there are accept_changes, "),
        ("+finetune.utd=9", r"finetune has no setting 'utd'"),
        ("robot.max_lag=long", r"robot\.max_lag='long'.*whole number"),
        ("pretrain.held_out=some", r"pretrain\.held_out='some'.*finite number"),
        ("pretrain.clone_steps=1.5", r"pretrain\.clone_steps=1\.5.*whole number"),
        ("pretrain.encoder_steps=few", r"pretrain\.encoder_steps='few'.*whole number"),
        ("+pretrain.fold=9", r"pretrain has no setting 'fold'; there are began_done, checkpoint_every, clone_steps, "),
        ("+encoder.network.widths=3", "encoder=keypoints has no settings"),
    ],
)
def test_it_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        read(settings(given))


@pytest.mark.parametrize("given", ["agent.gamma=much", "agent.n_step=2.5", "method.hidden=64", "method.batch=0.5"])
def test_it_is_named_for_published_methods_too(given):
    key, _, _ = given.partition("=")
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        read(settings("method=iql", given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("encoder.width=2.5", r"encoder\.width=2\.5.*whole number"),
        ("encoder.network.widths=32", r"encoder\.network\.widths=32.*list of whole numbers"),
        ("encoder.network=3", r"encoder\.network=3"),
        ("encoder.augmentation=blur", r"encoder\.augmentation=blur is unknown; expected one of none, shift, crop"),
        ("+encoder.depth=3", r"encoder has no setting 'depth'"),
    ],
)
def test_an_encoders_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        read(settings("encoder=cnn", given))


@pytest.mark.parametrize("method", ["regrasp", "iql"])
def test_a_histogram_that_leaves_out_returns_is_refused(method):
    """Rewards of -1 and 0 add up to -20 ... 0 at gamma 0.95."""
    with pytest.raises(ConfigError, match=r"critic_range=\[-5.0, 5.0\] leaves out returns.*\[-20.0, 0.0\]"):
        read(settings(f"method={method}", "agent.critic_loss=hl_gauss", "agent.critic_range=[-5,5]"))
    histogram = ("bins: 11", "low: -5.0", "high: 5.0")
    with pytest.raises(ConfigError, match=r"critic_bins from -5\.0 to 5\.0.*target_range=\(-20\.0, 0\.0\)"):
        read(settings(f"+agent.networks.critic_bins={{{','.join(histogram)}}}"))
    read(settings(f"method={method}", "agent.critic_loss=hl_gauss", "agent.critic_range=[-20,0]"))


@pytest.mark.parametrize("given", ["agent.temperature_lr=0.1", "+agent.tau=0.1", "agent.online.anchor_weight=2"])
def test_what_a_published_method_doesnt_read_is_refused(given):
    def composed(*overrides):
        config = settings(*overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return config

    try:
        with pytest.raises(ConfigError, match=r"changes nothing: method=iql.*reads agent\.gamma"):
            read(composed("method=iql", given))
        read(composed("method=iql", "agent.gamma=0.9", "agent.n_step=2"))
        read(composed(given))
    finally:
        HydraConfig.instance().cfg = None


def test_every_setting_of_the_learner_and_of_pre_training_has_a_key():
    changes = {"publish_every": 3, "checkpoint_every": 5, "log_every": 7, "snapshot_every": 11}
    given = [f"finetune.{name}={value}" for name, value in changes.items()]
    given += ["pretrain.log_every=13", "pretrain.target_share=0.25", "pretrain.began_done=true", "method.batch=17"]
    given += ["pretrain.shrink_places=false"]
    config = settings(*given, "+agent.online.anchor_tau=0.5")
    before, learner = read(config)
    assert {name: getattr(learner, name) for name in changes} == changes
    assert (before.log_every, before.target_share, before.batch, learner.batch) == (13, 0.25, 17, 17)
    assert before.began_done
    assert not before.shrink_places
    assert agent_config(config).online.anchor_tau == 0.5


def test_the_defaults_of_the_settings_are_those_of_the_code():
    config = settings()
    for group, cls in (("pretrain", PretrainConfig), ("finetune", LearnerConfig)):
        with (ROOT / "configs" / "base.yaml").open() as file:
            written = OmegaConf.load(file)[group]
        assert {name: config[group][name] for name in written} == dict(written)
        assert {entry.name: entry.default for entry in fields(cls) if entry.name in written} == dict(written)
