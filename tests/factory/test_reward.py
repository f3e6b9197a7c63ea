"""Reward models by kind: which is trained, what its folder says, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.judged_at_once import evaluate_episodes, evaluate_frames
from helpers.sliding_square import SPEC, make_episode
from hydra import compose, initialize_config_module

from factory.reward import KIND_FILE, reward_of, train_reward_model
from rewards.config import RewardConfig
from rewards.files import save_classifier
from rewards.judge import VlmReward
from rewards.kind import HeldOut, HeldOutEpisode, RewardKind, observations_of, readings_of
from rewards.measuring import look_at
from rewards.training import train_reward
from rewards.vlm_kind import VlmKind
from robot.interfaces import RewardReading
from trajectories.errors import CheckpointError, ConfigError
from trajectories.registry import Registry
from trajectories.types import Observation


class Brightness:
    """Says done from the frame on whose first pixel exceeds a level."""

    camera = "front"

    def __init__(self, level):
        self.level, self.instruction = level, None

    def reset(self, instruction):
        self.instruction = instruction

    def update(self, observation):
        value = float(observation.images["front"][0, 0, 0]) / 255
        return RewardReading(value, value > self.level, value > self.level)


class BrightnessKind(RewardKind):
    """Keeps the level of its settings."""

    def train(self, episodes, task, instructions, spec, settings, folder, progress):
        (folder / "level").write_text(str(settings["level"]))
        return f"{sum(1 for _ in episodes)} episodes of {task}."

    def load(self, folder, spec, settings):
        return Brightness(float((folder / "level").read_text()))


@pytest.fixture
def kinds(monkeypatch):
    """The registry with one more kind."""
    found = Registry("regrasp.rewards", "kind", {"classifier": VlmKind(), "brightness": BrightnessKind()})
    monkeypatch.setattr("rewards.registry.KINDS", found)


def settings(folder, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("actor", [f"run_dir={folder}", *overrides])


BRIGHT = ("+reward.kind=brightness", "+reward.level=0.5")


def train(config, episodes=()):
    return train_reward_model(config, iter(episodes), SPEC, lambda stage, share: None)


@pytest.fixture(scope="module")
def classifier(backbone, episodes):
    config = RewardConfig(steps=120, folds=3, members=1, shift=1, require_open_gripper=False)
    return train_reward(episodes, "slide", backbone, SPEC, config).classifier


def test_a_kind_is_trained_told_by_its_folder_and_loaded(kinds, tmp_path):
    config = settings(tmp_path, *BRIGHT)
    assert train(config, [None] * 3) == "3 episodes of pot_pick_place."
    assert (tmp_path / "reward" / KIND_FILE).read_text() == '{"kind": "brightness"}\n'
    assert reward_of(config, SPEC).level == 0.5


def test_a_folder_of_another_kind_than_the_settings_is_refused(kinds, tmp_path):
    train(settings(tmp_path, *BRIGHT))
    with pytest.raises(CheckpointError, match="is of kind 'brightness', but the settings name 'classifier'"):
        reward_of(settings(tmp_path), SPEC)
    (tmp_path / "reward" / KIND_FILE).write_text("{")
    with pytest.raises(CheckpointError, match=r"kind\.json is damaged"):
        reward_of(settings(tmp_path), SPEC)


def test_a_folder_that_names_no_kind_holds_a_classifier(classifier, tmp_path):
    save_classifier(classifier, tmp_path / "reward")
    found = reward_of(settings(tmp_path), SPEC)
    assert isinstance(found, VlmReward)
    assert found.camera == "front"
    assert found.classifier.threshold == classifier.threshold


def test_training_that_fails_or_is_stopped_leaves_the_judge_before(kinds, tmp_path, monkeypatch):
    train(settings(tmp_path, *BRIGHT))
    with pytest.raises(ConfigError):
        train(settings(tmp_path))  # a classifier needs episodes

    def stopped(self, episodes, task, instructions, spec, settings, folder, progress):
        (folder / "level").write_text("0.9")
        raise KeyboardInterrupt

    monkeypatch.setattr(BrightnessKind, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(settings(tmp_path, *BRIGHT))
    assert reward_of(settings(tmp_path, *BRIGHT), SPEC).level == 0.5


def test_a_judge_of_another_kind_leaves_no_part_of_the_one_before(kinds, tmp_path):
    train(settings(tmp_path, *BRIGHT))
    (tmp_path / "reward" / "training.json").write_text("{}")  # of the kind before
    train(settings(tmp_path, *BRIGHT))
    assert {path.name for path in (tmp_path / "reward").iterdir()} == {"level", KIND_FILE}


def test_unknown_kinds_and_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no kind of reward model 'coin'; there are classifier"):
        train(settings(tmp_path, "+reward.kind=coin"))
    with pytest.raises(ConfigError, match="reward has no setting 'colours'; there are augmentations, batch"):
        train(settings(tmp_path, "+reward.colours=3"))
    with pytest.raises(CheckpointError, match="Run `regrasp train-reward` first"):
        reward_of(settings(tmp_path / "none"), SPEC)


def bright(index, values, outcome):
    episode = make_episode(np.random.default_rng(index), index, outcome=outcome)
    for row, value in enumerate(values):
        episode.images["front"][row, 0, 0, 0] = value
    return episode


def test_readings_are_measured_by_hand():
    """Level 0.5 of 255: 204 is above. Two successes, one of them seen 1 frame late; one failure stopped wrongly."""
    low, high = 51, 204
    found = bright(0, [low] * 11 + [high] * 2, "success")
    missed = bright(1, [low] * 13, "success")
    wrong = bright(2, [low] * 5 + [high] + [low] * 7, "failure")
    judge = Brightness(0.5)
    held_out = HeldOut(
        "slide",
        readings_of(judge, [Observation({"front": found.images["front"][12]}, found.proprio[12], "", {})]),
        [
            HeldOutEpisode(found, [0, 12], [False, True], "success", True, look_at(judge, found)),
            HeldOutEpisode(missed, [12], [True], "success", True, look_at(judge, missed)),
            HeldOutEpisode(wrong, [5, 6], [False, False], "failure: dropped", True, look_at(judge, wrong)),
            HeldOutEpisode(found, [11], [True], "aftermath", False, look_at(judge, found)),
        ],
    )
    judge.update = None  # nothing is judged again
    figures = BrightnessKind().evaluate(judge, held_out)
    frames = figures["frames"]
    assert (frames["all"]["frames"], frames["all"]["successes"]) == (7, 3)
    assert frames["all"]["balanced_accuracy_at_threshold"] == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert frames["by_kind"]["occluded"]["rate_above_threshold"] == 1.0
    assert frames["by_kind"]["success"]["found"] == 0.5
    assert frames["by_kind"]["failure: dropped"]["rate_above_threshold"] == 0.5
    assert frames["by_kind"]["aftermath"] == {"frames": 1, "successes": 1, "found": 1.0, "rate_above_threshold": None}
    whole = figures["whole_episodes"]
    assert (whole["successes"], whole["failures"], whole["found"], whole["wrong_stops"]) == (2, 1, 0.5, 1.0)
    assert whole["delay_frames"] == {"mean": 1.0, "largest": 1}


def test_the_classifier_reads_the_same_one_by_one_as_all_at_once(classifier, episodes):
    judge, mine, hidden = VlmReward(classifier), episodes[::5], observations_of(episodes[0])[3]
    held_out = HeldOut(
        "slide",
        readings_of(judge, [hidden]),
        [HeldOutEpisode(e, range(13), [e.outcome == "success"] * 13, e.outcome, True, look_at(judge, e)) for e in mine],
    )
    one_by_one = VlmKind().evaluate(judge, held_out)
    count = 1 + 13 * len(mine)
    at_once = evaluate_frames(
        classifier,
        [np.concatenate([hidden.images["front"][None], *(e.images["front"] for e in mine)])],
        [hidden.instruction, *(e.instruction for e in mine for _ in range(13))],
        [False, *(e.outcome == "success" for e in mine for _ in range(13))],
        ["slide"] * count,
        ["occluded", *(e.outcome for e in mine for _ in range(13))],
        np.concatenate([hidden.proprio[None], *(e.proprio for e in mine)]),
    )
    whole = one_by_one["whole_episodes"]
    assert {key: whole[key] for key in whole.keys() - {"unsure", "among_sure"}} == evaluate_episodes(classifier, mine)
    assert at_once["by_kind"] == one_by_one["frames"]["by_kind"]
    for name, value in at_once["all"].items():
        assert one_by_one["frames"]["all"][name] == pytest.approx(value, abs=1e-5), name
    assert one_by_one["frames"]["all"]["calibration_error_before"] != pytest.approx(
        one_by_one["frames"]["all"]["calibration_error_after"], abs=1e-3
    )


def test_episodes_that_the_judge_is_unsure_about_are_counted_and_left_out_of_the_others():
    class Doubting(Brightness):
        """Doubts while the second pixel is lit."""

        def update(self, observation):
            reading = super().update(observation)
            return replace(reading, unsure=bool(observation.images["front"][0, 1, 0] > 100))

    def item(index, value, doubts, outcome):
        episode = bright(index, [51] * 11 + [value] * 2, outcome)
        episode.images["front"][:, 0, 1, 0] = 0
        episode.images["front"][list(doubts), 0, 1, 0] = 255
        return HeldOutEpisode(episode, [], [], outcome, True, look_at(Doubting(0.5), episode))

    episodes = [
        item(0, 204, (), "success"),
        item(1, 51, (12,), "success"),  # missed, but it says that it doesn't know
        item(2, 204, (11,), "failure"),  # done at its frame 11, of which it is unsure
        item(3, 51, (3, 4), "failure"),  # doubts that pass
    ]
    whole = BrightnessKind().evaluate(Doubting(0.5), HeldOut("slide", [], episodes))["whole_episodes"]
    assert (whole["found"], whole["wrong_stops"], whole["unsure"]) == (0.5, 0.5, 2)
    sure = whole["among_sure"]
    assert (sure["successes"], sure["found"], sure["failures"], sure["wrong_stops"]) == (1, 1.0, 1, 0.0)


@pytest.mark.parametrize(
    ("given", "cameras"),
    [
        ((), ("side",)),
        (("+reward.camera=wrist",), ("wrist",)),
        (("reward.cameras=[wrist,side]",), ("wrist", "side")),
    ],
)
def test_the_classifier_looks_through_the_robots_first_camera_unless_told(given, cameras, monkeypatch, tmp_path):
    spec = replace(SPEC, cameras={"side": (48, 48), "wrist": (48, 48)})
    seen = []

    def record(episodes, task, backbone, spec, config, *rest):
        seen.append(config.views)
        raise ConfigError("seen enough")

    monkeypatch.setattr("rewards.vlm_kind.train_reward", record)
    with pytest.raises(ConfigError, match="seen enough"):
        train_reward_model(settings(tmp_path, *given), iter(()), spec, lambda stage, share: None)
    assert seen == [cameras]


@pytest.mark.parametrize(
    ("given", "open_only"),
    [
        ((), True),
        (("task.ends_open=false",), False),
        (("reward.require_open_gripper=false",), False),
    ],
)
def test_a_task_that_ends_with_the_gripper_closed_has_a_judge_that_counts_such_frames(
    given, open_only, backbone, episodes, monkeypatch, tmp_path
):
    """The real classifier, trained by the settings, on frames of a gripper that is closed."""
    goals = {"forward": "plate", "backward": "mat"}
    words = [f"task.instructions.{way}=[put the cube on the {goal}]" for way, goal in goals.items()]
    small = ("+reward.steps=120", "+reward.folds=3", "+reward.members=1", "+reward.shift=1")
    config = settings(tmp_path, "task=own", "task.name=slide", *words, *small, *given)
    monkeypatch.setattr("rewards.vlm_kind.backbone_from", lambda *_: backbone)
    train_reward_model(config, iter(episodes), SPEC, lambda stage, share: None)
    closed = np.zeros((1, len(SPEC.proprio)), np.float32)
    assert reward_of(config, SPEC).classifier.counts(closed).tolist() == [not open_only]


@pytest.mark.parametrize("reward", ["embedded", "goal_pictures", "vice", "preferences", "perceptual", "generative_vlm"])
def test_the_smallest_profile_goes_with_every_kind(reward, tmp_path):
    asked = ["reward.model=none"] if reward == "generative_vlm" else []
    with pytest.raises(ConfigError) as refused:  # there are no episodes
        train(settings(tmp_path, "profile=tiny", f"reward={reward}", *asked))
    assert "has no setting" not in str(refused.value)
