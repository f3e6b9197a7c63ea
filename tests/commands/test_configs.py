"""Every YAML composes, and what it says is understood by the code that reads it."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers import ROOT
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.verbs import VERBS
from factory.policy import agent_config, encoder_config
from factory.spec import spec_of
from factory.task import instructions_of
from policies.perception.encoders.config import NETWORKS, ClipConfig, EncoderConfig
from sim.robosuite.tasks import ROBOSUITE_TASKS
from sim.tasks import TASKS
from trajectories.errors import ConfigError

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)


def composed(name, *overrides, module="configs"):
    with initialize_config_module(module, version_base="1.3"):
        return compose(name, list(overrides))


def choices(group):
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_composes(verb):
    config = composed(VERBS[verb].config_name, module=VERBS[verb].config_module)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert config.env == "maze" if "env" in config else config.task.name == "pot_pick_place"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (g, n)
        for g in ("task", "profile", "method", "reward", "agent", "encoder", "robot", "engine")
        for n in choices(g)
    ],
)
def test_every_choice_composes(group, name):
    config = composed("demo", f"{group}={name}")
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert agent_config(config).target_range == ((-20.0, 0.0) if config.method.registry is None else None)
    encoder_config(config)
    assert spec_of(config).cameras == {"front": (96, 96)}


@pytest.mark.parametrize("name", ROBOSUITE_TASKS)
def test_tasks_of_robosuites_world_have_their_settings(name):
    config = composed("demo", "robot=robosuite", f"task={name}")
    assert (config.task.name, config.task.prior) == (name, [])
    assert instructions_of(config) == ROBOSUITE_TASKS[name].instructions
    with pytest.raises(ConfigError, match="no task"):
        instructions_of(composed("demo", f"task={name}"))


def test_targets_are_clamped_to_what_the_discount_allows():
    assert agent_config(composed("demo", "agent.gamma=0.99")).target_range == (-100.0, 0.0)
    assert agent_config(composed("demo", "+agent.target_range=null")).target_range is None


@pytest.mark.parametrize("name", sorted(set(choices("task")) - {"own", *ROBOSUITE_TASKS}))
def test_tasks_of_the_twin_and_their_priors_exist(name):
    config = composed("demo", f"task={name}")
    assert config.task.name in TASKS
    assert all(TASKS[prior].role == "prior" for prior in config.task.prior)
    assert len(config.task.prior) >= 6


@pytest.mark.parametrize("name", ["cnn", "resnet", "clip"])
def test_an_encoders_yaml_names_every_setting_with_the_default_of_the_code(name):
    config = encoder_config(composed("demo", f"encoder={name}"))
    defaults = EncoderConfig(network=NETWORKS[name]())
    places = ClipConfig(stage=2, pooling="spatial_softmax")  # as docs/results/encoders.md found it best
    clip = replace(defaults, network=places, width=0, proprio_width=0, keypoints=True)
    assert config == (clip if name == "clip" else defaults)
    written = OmegaConf.to_container(composed("demo", f"encoder={name}").encoder)
    known = config.to_dict()
    assert set(known) - set(written) <= {"frozen"}  # of use behind a pre-trained tower only
    assert set(written["network"]) == set(known["network"])


def test_an_encoder_looks_through_the_robots_first_camera_unless_told():
    cameras = "robot.cameras=[side,wrist]"
    assert encoder_config(composed("demo", "encoder=cnn", cameras)).cameras == ("side",)
    assert encoder_config(composed("demo", "encoder=cnn", "encoder.cameras=[wrist,side]")).cameras == ("wrist", "side")
    assert encoder_config(composed("demo")) is None


def test_settings_of_an_image_encoder_dont_go_with_keypoints():
    with pytest.raises(ConfigError, match="no settings; \\['width'\\] belong to image encoders"):
        encoder_config(composed("demo", "+encoder.width=3"))


def test_profiles_have_the_same_keys():
    shapes = [sorted(OmegaConf.to_container(composed("demo", f"profile={p}"))["finetune"]) for p in choices("profile")]
    assert all(shape == shapes[0] for shape in shapes)


def regrasp(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "commands", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_help_names_every_verb_and_its_settings():
    text = regrasp("--help").stdout
    assert all(verb in text for verb in VERBS)
    text = regrasp("evaluate", "--help").stdout
    assert "checkpoint" in text
    assert re.search(r"task=\S*bin_weight\|\S*own\|\S*pot_pick_place", text)


def test_a_misspelt_verb_gets_a_hint():
    result = regrasp("evalute")
    assert result.returncode == 2
    assert "did you mean `evaluate`" in result.stderr


def test_a_missing_policy_says_what_to_run(tmp_path):
    result = regrasp("evaluate", f"run_dir={tmp_path}", "checkpoint=pretrained")
    assert result.returncode == 2
    assert "regrasp pretrain" in result.stderr
    assert "Traceback" not in result.stderr
