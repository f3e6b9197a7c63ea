"""The settings of the group `reward` beside those of training: model, device, threads."""

import os
import shutil

import numpy as np
import open_clip
import pytest
import torch
from helpers.sliding_square import SPEC, make_episode

from rewards.threads import computing_with
from rewards.vlm_kind import VlmKind, backbone_from, threads_from
from rewards.weight_files import ASSETS
from trajectories.errors import ConfigError
from trajectories.types import Observation


def test_threads_are_half_the_cores_or_as_given(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(12))
    assert [threads_from({"threads": given}) for given in ("auto", 3)] == [6, 3]
    assert threads_from({}) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(1))
    assert threads_from({"threads": "auto"}) == 1
    with pytest.raises(ConfigError, match=r"reward\.threads=many"):
        threads_from({"threads": "many"})


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with computing_with(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_an_unknown_device_is_named_and_a_missing_gpu_too(monkeypatch):
    with pytest.raises(ConfigError, match=r"reward\.device=tpu is unknown; expected auto, cpu or cuda"):
        backbone_from({"device": "tpu"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        backbone_from({"device": "cuda"})
    assert backbone_from({"device": "auto"}).device.type == "cpu"


def test_a_judge_on_a_clip_goes_the_whole_way(episodes, tmp_path, monkeypatch):
    """By name and file, as ViT-B-32: the shipped weights under a name of open_clip's."""
    folder = tmp_path / "reward"
    folder.mkdir()
    shutil.copy(ASSETS / "embedded.json", tmp_path / "other-clip.json")
    open_clip.add_model_config(tmp_path / "other-clip.json")
    settings = {
        "backbone": "other-clip", "pretrained": str(ASSETS / "embedded.safetensors"), "device": "auto", "threads": 2,
        "folds": 3, "members": 1, "steps": 120, "shift": 1, "require_open_gripper": False,
    }  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    instructions = {"forward": ["put the cube on the plate"], "backward": ["put the cube on the mat"]}
    said = VlmKind().train(iter(episodes), "slide", instructions, SPEC, settings, folder, lambda stage, share: None)
    assert "On episodes that nothing was fitted to" in said
    assert "n too small to certify 2 %: 28 episodes without success" in said
    judge = VlmKind().load(folder, SPEC, settings)
    episode = make_episode(np.random.default_rng(5), 0)
    judge.reset(episode.instruction)
    seen = [
        judge.update(Observation({"front": image}, proprio, episode.instruction, {}))
        for image, proprio in zip(episode.images["front"], episode.proprio, strict=True)
    ]
    assert seen[-1].probability > seen[0].probability
