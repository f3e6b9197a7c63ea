"""Every method's evaluation before fine-tuning is that of the policy it began with."""

import pytest
from hydra import compose, initialize_config_module

from factory.run_folders import (
    actor_folder,
    evaluation_place,
    find_policy,
    finetune_folder,
    pretrained_beside,
    pretrained_folder,
    start_of,
)
from trajectories.errors import CheckpointError, ConfigError


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
    assert evaluation_place(tmp_path, start_of(tmp_path, method)) == start
    assert start_of(tmp_path, f"{method}_widowx", "_widowx") == tmp_path / start


def test_the_other_methods_policies_are_those_beside(tmp_path):
    names = ("pretrained", "pretrained_rlpd", "pretrained_wsrl", "data", "finetune_rlpd")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "pretrained.json").touch()
    beside = pretrained_beside(tmp_path / "pretrained_rlpd")
    assert beside == [tmp_path / "pretrained", tmp_path / "pretrained_wsrl"]


def test_policies_of_other_runs_never_share_a_place(tmp_path):
    one, two = (tmp_path / run / "snapshots" / "step_10" for run in ("a/finetune_regrasp", "b/finetune_regrasp"))
    assert evaluation_place(tmp_path / "a", one) == "regrasp/step_10"
    places = {evaluation_place(tmp_path / "c", policy) for policy in (one, two)}
    assert len(places) == 2
    assert all(place.startswith("other/step_10_") for place in places)


def test_actors_with_names_have_folders_of_their_own_in_that_of_their_run(tmp_path):
    run = tmp_path / "finetune_regrasp"
    assert actor_folder(settings(f"run_dir={tmp_path}")) == run
    left, right = (settings(f"run_dir={tmp_path}", f"actor.name={name}") for name in ("left", "right"))
    assert (actor_folder(left), actor_folder(right)) == (run / "actor_left", run / "actor_right")
    assert finetune_folder(left) == finetune_folder(right) == run
    with pytest.raises(ConfigError, match=r"actor\.name='\.\./up'"):
        actor_folder(settings("actor.name=../up"))
