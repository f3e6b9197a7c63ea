"""Every method's evaluation before fine-tuning is that of the policy it began with."""

from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_module

from commands.report import comparison
from factory.run_folders import evaluation_folder, find_policy, finetune_folder, pretrained_folder, start_of
from trajectories.errors import CheckpointError


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", overrides=["workers=1", *overrides])


@pytest.mark.parametrize(
    ("method", "start"), [("regrasp", "pretrained"), ("retention", "pretrained"), ("rlpd", "pretrained_rlpd")]
)
def test_a_method_goes_on_with_its_own_start_and_is_compared_with_it(tmp_path, method, start):
    config = settings(f"run_dir={tmp_path}", f"method={method}")
    with pytest.raises(CheckpointError, match=f"regrasp pretrain method={method}"):
        find_policy(config, "pretrained")
    for name in ("pretrained", "pretrained_rlpd"):
        (tmp_path / name).mkdir()
    assert find_policy(config, "pretrained") == pretrained_folder(config) == tmp_path / start
    assert start_of(tmp_path, method) == tmp_path / start
    assert evaluation_folder(tmp_path / "evaluations", start_of(tmp_path, method)) == tmp_path / "evaluations" / start


def test_a_comparison_takes_each_methods_own_start(tmp_path, monkeypatch):
    for name in ("pretrained", "pretrained_rlpd"):
        (tmp_path / name).mkdir()
    for method in ("regrasp", "rlpd"):
        (tmp_path / "evaluations" / method).mkdir(parents=True)
        (finetune_folder(settings(f"run_dir={tmp_path}", f"method={method}")) / "episodes").mkdir(parents=True)
    rates = {"pretrained": 0.2, "pretrained_rlpd": 0.0}
    monkeypatch.setattr(comparison, "evaluation", lambda folder: {"cells": rates[folder.name]})
    monkeypatch.setattr(comparison, "curve", lambda folder: [SimpleNamespace(steps=100, cells=0.5)])
    monkeypatch.setattr(comparison, "open_stream", lambda folder, spec: None)
    found = {run.method: run.curve for run in comparison.runs_of([tmp_path], None)}
    assert found == {"regrasp": {0: 0.2, 100: 0.5}, "rlpd": {0: 0.0, 100: 0.5}}
