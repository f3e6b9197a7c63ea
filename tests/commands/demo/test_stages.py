"""Stages run once; other settings are noticed."""

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.demo.demo import taught
from commands.demo.stages import Stages, chosen
from trajectories.errors import ConfigError


def test_a_stage_runs_once_and_its_time_is_kept(tmp_path):
    ran = []
    for _ in range(2):
        stages = Stages(tmp_path)
        stages.run("one", lambda: ran.append(1), {"a": 1})
        assert set(stages.seconds) == {"one"}
    assert ran == [1]


def test_the_time_is_that_of_the_stages_asked_for(tmp_path):
    Stages(tmp_path).run("fine-tune (wsrl)", lambda: None, {})
    stages = Stages(tmp_path)
    stages.run("fine-tune (rlpd)", lambda: None, {})
    assert set(stages.seconds) == {"fine-tune (rlpd)"}


def test_a_setting_that_was_not_written_down_then_is_taken_to_be_the_same(tmp_path):
    Stages(tmp_path).run("collect", lambda: None, {"collect.demos": 6})
    Stages(tmp_path).run("collect", lambda: pytest.fail("done before"), {"collect.demos": 6, "robot.model": "wx250s"})


def test_a_stage_that_others_rest_on_refuses_other_settings(tmp_path):
    Stages(tmp_path).run("collect", lambda: None, {"collect.demos": 6})
    with pytest.raises(ConfigError, match=r"collect\.demos=6 \(now 8\).*run_dir"):
        Stages(tmp_path).run("collect", lambda: None, {"collect.demos": 8})


def test_more_steps_go_on(tmp_path):
    ran = []
    for steps in (3000, 3000, 5000):
        Stages(tmp_path).run("fine-tune", lambda steps=steps: ran.append(steps), {"steps": steps}, extend=True)
    assert ran == [3000, 5000]


def test_a_stage_that_failed_is_not_done(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Stages(tmp_path).run("one", lambda: 1 / 0, {})
    assert Stages(tmp_path).seconds == {}


def test_chosen_settings_are_flat_and_plain():
    config = OmegaConf.create({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": "x", "f": 0})
    assert chosen(config, "a", "e") == {"a.b": 1, "a.c.d": [1, 2], "e": "x"}


def test_a_run_from_before_a_setting_goes_on_while_the_setting_is_at_its_default():
    def settings(*overrides):
        with initialize_config_module("configs", version_base="1.3"):
            return taught(compose("demo", overrides=["workers=1", *overrides]))

    known = ("pretrain.encoder_steps", "pretrain.clone_steps", "pretrain.steps", "encoder.", "agent.networks.")
    plain = settings("pretrain.checkpoint_every=7")
    assert plain == settings()
    assert all(name.startswith((*known, "agent.offline.")) for name in plain)
    changed = settings("pretrain.held_out=0.1", "agent.n_step=3", "agent.critic_loss=hl_gauss")
    assert changed == plain | {"pretrain.held_out": 0.1, "agent.n_step": 3, "agent.critic_loss": "hl_gauss"}
