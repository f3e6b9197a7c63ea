"""Settings of a judge's training, typed where the judge is used as it is."""

import json
import subprocess
import sys

import pytest
from helpers import ENVIRONMENT
from hydra import compose, initialize_config_module

from factory.judge_settings import require_backbone_of_arm, require_trained_like
from factory.reward import reward_kind, reward_settings
from factory.spec import spec_of
from trajectories.errors import CheckpointError, ConfigError


def settings(run, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("actor", [f"run_dir={run}", *overrides])


def trained(run, *overrides, without=()):
    """The note of a judge that was trained with these settings; `without` some that its version didn't know."""
    config = settings(run, *overrides)
    kept = reward_kind(config).training_settings(reward_settings(config), spec_of(config))
    (run / "reward").mkdir(parents=True)
    note = {"config": {"camera": "front"} | {name: value for name, value in kept.items() if name not in without}}
    (run / "reward" / "training.json").write_text(json.dumps(note))


def require(run, *overrides):
    said = []
    typed = {one.partition("=")[0].lstrip("+") for one in overrides}
    require_trained_like(settings(run, *overrides), typed, said.append)
    return said


TWO = "robot.cameras=[front,wrist]"


@pytest.mark.parametrize(
    ("then", "now", "names"),
    [
        ((), ("reward.window=8",), r"reward\.window=8 would do nothing.* was trained with reward\.window=0"),
        (("reward.window=8",), ("reward.window=0",), r"trained with reward\.window=8.*train-reward reward\.window=0"),
        ((), ("+reward.members=1", "reward.frames=2"), r"frames=2 would do .* reward\.frames=3, reward\.members=4"),
        ((TWO,), (TWO, "reward.cameras=[front,wrist]"), r"cameras=\[front,wrist\] would .* reward\.cameras=\[front\]"),
        ((TWO,), (TWO, "+reward.camera=wrist"), r"reward\.cameras=\[wrist\] would .* reward\.cameras=\[front\]"),
        (("reward=goal_pictures",), ("reward=goal_pictures", "reward.goal=mean"), r"trained with reward\.goal=nearest"),
        (
            ("reward=generative_vlm",),
            ("reward=generative_vlm", "reward.false_positive_rate=0.1"),
            r"trained with reward\.false_positive_rate=0\.02",
        ),
    ],
)
def test_a_typed_setting_that_would_do_nothing_is_refused(tmp_path, then, now, names):
    trained(tmp_path, *then)
    with pytest.raises(ConfigError, match=names):
        require(tmp_path, *now)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (("reward.window=8",), ()),  # nobody typed it: the judge is used as it is
        (("reward.window=8",), ("reward.window=8",)),
        ((TWO,), (TWO, "reward.cameras=[front]")),
        ((TWO,), (TWO, "+reward.camera=front")),
        ((), ("reward.threads=2", "reward.device=cpu")),
        (("reward=generative_vlm",), ("reward=generative_vlm", "reward.retries=9", "reward.address=http://x/v1")),
    ],
)
def test_what_is_the_same_or_of_use_passes(tmp_path, then, now):
    trained(tmp_path, *then)
    assert require(tmp_path, *now) == []


def test_a_judge_of_an_earlier_version_has_the_defaults_of_what_it_did_not_know(tmp_path):
    trained(tmp_path, without=["window", "unsure_rate"])
    assert require(tmp_path, "reward.window=0") == []
    with pytest.raises(ConfigError, match=r"trained with reward\.window=0"):
        require(tmp_path, "reward.window=8")


def test_without_a_judge_at_hand_there_is_nothing_to_hold_it_against_and_a_damaged_note_is_named(tmp_path):
    assert require(tmp_path, "reward.window=8") == []
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "training.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"training\.json is damaged"):
        require(tmp_path, "reward.window=8")


def test_a_session_that_trains_its_judge_anew_says_what_will_differ(tmp_path):
    trained(tmp_path, "reward.window=8")
    (line,) = require(tmp_path, "reward.retrain_every=20")
    assert "trained with reward.window=8; those that this session trains (reward.retrain_every) will have 0" in line


@pytest.mark.parametrize("verb", ["finetune", "actor", "learner", "evaluate-reward"])
def test_verbs_refuse_it_before_they_begin(tmp_path, verb):
    trained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "commands", verb, f"run_dir={tmp_path}", "reward.window=8"],
        capture_output=True, encoding="utf-8", cwd=tmp_path, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "reward.window=8 would do nothing" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reward"]


CLIP = "reward.backbone=ViT-B-32"
ARM = "robot=widowx"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ((ARM, "reward=vice"), True),
        ((ARM, "reward=preferences", "reward.device=auto"), True),
        ((ARM, "reward=perceptual"), True),
        ((ARM, "reward=goal_pictures"), True),
        ((ARM, "reward=vice", CLIP), False),
        ((ARM, "reward=vice", "reward.backbone=embedded"), False),
        ((ARM,), False),
        ((ARM, "reward=embedded"), False),
        ((ARM, "reward=generative_vlm"), False),  # looks through no backbone
        (("robot=virtual", "reward=vice"), False),
        (("reward=vice",), False),
    ],
)
def test_on_the_arm_the_backbone_of_the_twin_has_to_be_named(tmp_path, given, refused):
    typed = {one.partition("=")[0] for one in given}
    if not refused:
        require_backbone_of_arm(settings(tmp_path, *given), typed)
        return
    with pytest.raises(
        ConfigError, match=r"Give reward\.backbone=ViT-B-32 reward\.pretrained=laion2b_s34b_b79k reward"
    ):
        require_backbone_of_arm(settings(tmp_path, *given), typed)


@pytest.mark.parametrize("verb", ["pretrain", "train-reward"])
def test_verbs_of_a_run_on_the_arm_refuse_the_backbone_of_the_twin(tmp_path, verb):
    done = subprocess.run(
        [sys.executable, "-m", "commands", verb, f"run_dir={tmp_path}", ARM, "reward=vice"],
        capture_output=True, encoding="utf-8", cwd=tmp_path, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "The judge vice would look through reward.backbone=embedded" in done.stderr
    assert list(tmp_path.iterdir()) == []
