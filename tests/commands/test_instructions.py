"""Every verb that begins with texts refuses those that nobody can read, before it does anything else."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.sliding_square import SPEC, make_episode
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from commands.finetune import finetune
from commands.teleop import check_instructions
from factory.reward import note_read, require_readable_task
from factory.run_folders import pretrained_folder
from factory.spec import spec_of
from factory.task import instructions_of
from policies.common.kept_checkpoints import KeptCheckpoints
from policies.learner.pretrain import KIND, POLICY, TRAINING
from rewards import readable, vlm_kind
from rewards.backbone import load_backbone
from rewards.vlm_kind import weights_from
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.store import TrajectoryStore

OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)
OWN = ("task=own", "task.instructions.forward=[hang the towel]", "task.instructions.backward=[wring the towel]")
READABLE = (
    "task=own",
    "task.instructions.forward=[put the pot on the rack]",
    "task.instructions.backward=[put the pot in the sink]",
)


def composed(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, list(overrides))


@pytest.mark.parametrize(
    ("verb", "module"),
    [(name, f"commands.{name}") for name in ("pretrain", "actor", "teleop")] + [("demo", "commands.demo.demo")],
)
def test_words_that_the_tower_never_learned_are_refused_at_once(verb, module, tmp_path, monkeypatch):
    given = SimpleNamespace(overrides=SimpleNamespace(task=[]))
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: given))
    run_dir = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"never learned 'hang', 'towel' in 'hang the towel'.* reward=clip"):
        importlib.import_module(module).run(composed(verb, f"run_dir={run_dir}", *OWN))
    assert not run_dir.exists()


def test_finetune_refuses_them_before_it_starts_a_process(tmp_path):
    run_dir = tmp_path / "run"
    with pytest.raises(ConfigError, match="never learned 'hang'"):
        finetune(composed("finetune", f"run_dir={run_dir}", "robot=widowx", "reward=embedded", *OWN), [])
    assert not run_dir.exists()


def test_the_tower_is_not_loaded_for_what_the_policy_was_pretrained_on(tmp_path, monkeypatch):
    """Starting a session takes half the time; what was changed since is read as ever."""
    config = composed("finetune", f"run_dir={tmp_path}", *READABLE)
    identity = {"task": "own", "wordings": instructions_of(config), "text": weights_from({}).digest}

    def kept(**changes):
        training = KeptCheckpoints(pretrained_folder(config) / TRAINING, POLICY, KIND, identity | changes, print)
        training.save(1, {"weight": torch.zeros(1)}, {}, last=True)

    loaded = []
    monkeypatch.setattr(vlm_kind, "load_backbone", lambda *_, **__: loaded.append(None) or load_backbone())
    require_readable_task(config)
    assert len(loaded) == 1
    kept()
    require_readable_task(config)  # an earlier version, which read by other rules
    assert len(loaded) == 2
    note_read(pretrained_folder(config))
    require_readable_task(config)
    assert len(loaded) == 2
    monkeypatch.setattr(readable, "RULES", readable.RULES + 1)
    require_readable_task(config)
    assert len(loaded) == 3
    note_read(pretrained_folder(config))
    forward, backward = identity["wordings"]["forward"], identity["wordings"]["backward"]
    swapped = {"forward": backward, "backward": forward}
    for changes in ({"task": "other"}, {"wordings": swapped}, {"text": "another tower"}):
        kept(**changes)
        require_readable_task(config)
    assert len(loaded) == 6
    kept()
    unread = composed("finetune", f"run_dir={tmp_path}", *OWN)
    with pytest.raises(ConfigError, match="never learned 'hang'"):
        require_readable_task(unread)


def test_train_reward_refuses_them_before_it_reads_an_episode(tmp_path):
    config = composed("train_reward", f"run_dir={tmp_path}", *OWN)
    with TrajectoryStore(tmp_path / "data", spec_of(config)):
        pass
    with pytest.raises(ConfigError, match="never learned 'hang'"):
        importlib.import_module("commands.train_reward").run(config)


def test_pretrain_refuses_recorded_ones_too(tmp_path):
    config = composed("pretrain", f"run_dir={tmp_path}", "robot.cameras=[front]", "robot.image_size=48", *READABLE)
    with TrajectoryStore(tmp_path / "data", spec_of(config)) as store:
        assert store.spec == SPEC
        store.commit(replace(make_episode(np.random.default_rng(0), 0), instruction="put the mug on the plate"))
    with pytest.raises(ConfigError, match="never learned 'mug' in 'put the mug on the plate'"):
        importlib.import_module("commands.pretrain").run(config)


def test_the_arm_judges_and_reads_through_a_real_clip_unless_told_otherwise():
    for verb in ("pretrain", "train_reward", "finetune", "actor", "teleop", "evaluate", "doctor"):
        assert composed(verb, "robot=widowx").reward.backbone == "ViT-B-32"
    assert composed("pretrain", "robot=widowx", "reward=embedded").reward.backbone == "embedded"
    for robot in ("twin", "virtual"):
        assert composed("pretrain", f"robot={robot}").reward.backbone == "embedded"


def test_without_the_weights_demonstrations_go_on_and_training_does_not(tmp_path, monkeypatch, capsys):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    check_instructions(composed("teleop", "robot=widowx", *OWN))
    assert "not checked" in capsys.readouterr().out
    with pytest.raises(MissingDependencyError, match="hf download laion/CLIP-ViT-B-32"):
        importlib.import_module("commands.pretrain").run(composed("pretrain", "robot=widowx", *OWN))
