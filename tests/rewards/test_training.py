"""The success classifier from episodes to file and judge, on scenes whose success can be seen."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.judged_at_once import evaluate_episodes, evaluate_frames
from helpers.sliding_square import GRIPPER, make_episode

from rewards.config import RewardConfig
from rewards.evaluation import frame_figures
from rewards.files import load_classifier, save_classifier
from rewards.gathering import gather
from rewards.judge import VlmReward
from rewards.pairs import cross_pairs, own_pairs, with_copies
from rewards.training import train_reward
from robot.interfaces import RewardModel
from trajectories.errors import CheckpointError, ConfigError, SpecMismatchError
from trajectories.kinds import AFTERMATH
from trajectories.types import Observation, RobotSpec

CONFIG = RewardConfig(steps=100, folds=3, members=2, shift=1, require_open_gripper=False)


@pytest.fixture(scope="module")
def trained(backbone, spec, episodes):
    return train_reward(episodes, "slide", backbone, spec, CONFIG)


def observation(episode, index: int) -> Observation:
    return Observation({"front": episode.images["front"][index]}, episode.proprio[index], episode.instruction, {})


def test_held_out_frames_are_told_apart(trained):
    figures = trained.report["held_out"]["all"]
    assert figures["auroc"] > 0.97
    assert figures["calibration_error_after"] < 0.1
    assert trained.report["episodes"] == {"success": 16, "failure": 12}
    assert set(trained.report["held_out"]["by_task"]) == {"slide"}


def test_new_episodes_are_judged_as_a_whole(trained):
    rng = np.random.default_rng(5)
    new = [
        make_episode(rng, i, d, o) for i in range(5) for d in ("forward", "backward") for o in ("success", "failure")
    ]
    figures = evaluate_episodes(trained.classifier, new)
    assert (figures["successes"], figures["failures"]) == (10, 10)
    assert figures["found"] >= 0.9
    assert figures["wrong_stops"] <= 0.1


def test_the_instruction_decides(trained):
    rng = np.random.default_rng(6)
    right = make_episode(rng, 0).images["front"][-1:]
    words = ["put the cube on the plate", "put the cube on the mat"]
    probabilities = trained.classifier.probabilities(np.concatenate([right, right]), words)
    assert probabilities[0] > 0.5 > probabilities[1]


def arm(episode, rows):
    """The episode with the arm in these frames, as if it were at home there: dark bars above and below."""
    images = episode.images["front"].copy()
    images[rows, :12] = 15
    images[rows, 36:] = 15
    return replace(episode, images={"front": images})


def look_back(episode):
    """What the episode left, with the arm at home."""
    last = episode.images["front"][-1:].repeat(13, axis=0)
    left = replace(episode, id=f"9{episode.id[1:]}", images={"front": last}, metadata={"kind": AFTERMATH})
    return arm(left, slice(None))


def test_looking_back_teaches_that_a_task_stays_done_when_the_arm_is_at_home(backbone, spec, episodes):
    shown = [arm(e, slice(5)) for e in episodes]
    looks = [look_back(e) for e in episodes]
    data = gather([*shown, *looks], "slide", backbone, spec, CONFIG)
    rows = [e for e in data.episodes if e.aftermath]
    assert [set(e.labels.tolist()) for e in rows] == [{int(e.outcome == "success")} for e in rows]
    new = look_back(make_episode(np.random.default_rng(11), 0))
    begin = arm(make_episode(np.random.default_rng(12), 0), slice(5)).images["front"][:1]
    frames, words = np.concatenate([new.images["front"][:1], begin]), [new.instruction] * 2
    classifier = train_reward([*shown, *looks], "slide", backbone, spec, CONFIG).classifier
    left, first = classifier.probabilities(frames, words)
    assert left > 0.9  # 0.6 from the demonstrations alone
    assert first < 0.2


def test_same_seed_same_classifier(trained, backbone, spec, episodes):
    again = train_reward(episodes, "slide", backbone, spec, CONFIG)
    assert again.report == trained.report


def test_the_file_gives_the_same_judgements_and_knows_what_it_was_made_for(trained, backbone, spec, episodes, tmp_path):
    save_classifier(trained.classifier, tmp_path, trained.report)
    loaded = load_classifier(tmp_path, backbone, spec)
    frames, words = episodes[0].images["front"], [episodes[0].instruction] * 13
    assert np.array_equal(loaded.logits(frames, words), trained.classifier.logits(frames, words))
    assert loaded.threshold == trained.classifier.threshold
    assert loaded.calibration == trained.classifier.calibration
    with pytest.raises(SpecMismatchError, match="cameras"):
        load_classifier(tmp_path, backbone, RobotSpec())
    (tmp_path / "reward.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match="digest"):
        load_classifier(tmp_path, backbone)
    with pytest.raises(CheckpointError, match="train-reward"):
        load_classifier(tmp_path / "nowhere", backbone)


def test_an_instruction_that_nothing_was_tried_under_is_refused(trained, backbone, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    loaded = load_classifier(tmp_path, backbone)
    assert loaded.wordings == ("put the cube on the plate", "put the cube on the mat")
    with pytest.raises(ConfigError, match=r"never tried on 'put the pot on the plate'; it knows 'put the cube on"):
        VlmReward(loaded).reset("put the pot on the plate")
    description = json.loads((tmp_path / "reward.json").read_text())
    del description["wordings"]  # as earlier versions left it
    (tmp_path / "reward.json").write_text(json.dumps(description))
    VlmReward(load_classifier(tmp_path, backbone)).reset("put the pot on the plate")


def test_a_saved_judge_that_calls_everything_done_is_refused(trained, backbone, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    description = json.loads((tmp_path / "reward.json").read_text())
    description["threshold"]["value"] = 0.0  # as earlier versions could choose it
    (tmp_path / "reward.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="calls everything done"):
        load_classifier(tmp_path, backbone)


def test_a_gated_frame_counts_for_nothing_however_low_the_threshold(trained, spec):
    episode = make_episode(np.random.default_rng(4), 0)
    closed = replace(episode, proprio=np.full_like(episode.proprio, -1.0))
    low = replace(trained.classifier.threshold, value=5e-324)
    strict = replace(trained.classifier, require_open_gripper=True, threshold=low)
    judge = VlmReward(strict)
    judge.reset(episode.instruction)
    readings = [judge.update(observation(closed, i)) for i in range(13)]
    assert not any(reading.done or reading.above or reading.probability for reading in readings)
    assert evaluate_episodes(strict, [closed])["found"] == 0.0
    assert evaluate_episodes(strict, [episode])["found"] == 1.0


def test_a_classifier_of_another_backbone_is_refused(trained, backbone, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    text = (tmp_path / "reward.json").read_text()
    (tmp_path / "reward.json").write_text(text.replace(backbone.digest, "0" * 64))
    with pytest.raises(CheckpointError, match="trained on backbone embedded"):
        load_classifier(tmp_path, backbone)


def test_the_judge_debounces_and_starts_anew(trained):
    episode = make_episode(np.random.default_rng(8), 0)
    judge: RewardModel = VlmReward(trained.classifier)
    with pytest.raises(ConfigError, match="reset"):
        judge.update(observation(episode, 0))
    for _ in range(2):
        judge.reset(episode.instruction)
        readings = [judge.update(observation(episode, i)) for i in range(13)]
        assert not any(r.done for r in readings[:4])
        assert readings[-1].done
        expected = trained.classifier.probabilities(episode.images["front"], [episode.instruction] * 13)
        assert [r.probability for r in readings] == pytest.approx(expected.tolist(), abs=1e-5)
        threshold = judge.classifier.threshold.value
        assert [r.above for r in readings] == [r.probability >= threshold for r in readings]
        assert {r.above for r in readings} == {False, True}


def test_a_closed_gripper_never_counts_when_it_must_be_open(trained):
    episode = make_episode(np.random.default_rng(9), 0)
    judge = VlmReward(replace(trained.classifier, require_open_gripper=True))
    for gripper, expected in ((1.0, True), (-1.0, False)):
        judge.reset(episode.instruction)
        proprio = np.zeros_like(episode.proprio[0])
        proprio[GRIPPER] = gripper
        readings = [judge.update(replace(observation(episode, 12), proprio=proprio)) for _ in range(3)]
        assert readings[-1].done is expected
        assert (readings[-1].probability > 0.5) is expected


def test_an_open_gripper_can_be_required_only_where_it_is_known(backbone, spec, episodes):
    strict = replace(CONFIG, require_open_gripper=True)
    data = gather(episodes, "slide", backbone, spec, strict)
    assert data.episodes[0].counts.tolist() == [False] * 8 + [True] * 5  # it opens at frame 8
    blind = RobotSpec(cameras=spec.cameras, proprio=("tip_x",))
    with pytest.raises(ConfigError, match=r"reward\.require_open_gripper=false"):
        gather(episodes, "slide", backbone, blind, strict)


def test_a_missing_camera_is_named(trained):
    judge = VlmReward(trained.classifier)
    judge.reset("put the cube on the plate")
    blind = Observation({"wrist": np.zeros((48, 48, 3), np.uint8)}, np.zeros(13, np.float32), "", {})
    with pytest.raises(ConfigError, match=r"'front'.*wrist"):
        judge.update(blind)


def test_pairs_name_the_right_frames(backbone, spec, episodes):
    data = gather(episodes, "slide", backbone, spec, replace(CONFIG, augmentations=2))
    own, known = own_pairs(data)
    # 13 frames each; a success has 3 positive and 4 unknown ones
    assert len(own) == 28 * 13
    assert int(own.labels.sum()) == 16 * 3
    assert int((~known).sum()) == 16 * 4
    first = data.episodes[0]
    torch.testing.assert_close(data.features.pooled[first.rows], backbone.encode_images(episodes[0].images["front"]))
    cross = cross_pairs(data, backbone, np.random.default_rng(0))
    assert not cross.labels.any()
    assert len(cross) == 16 * 3  # one task: only the opposite direction's goal
    goal_of = {row: e.goal for e in data.episodes for row in e.rows}
    assert all(goal_of[row] != goal for row, goal in zip(cross.rows, cross.goals, strict=True))
    copied = with_copies(own[own.labels], data)
    assert len(copied) == 3 * 16 * 3
    assert sorted({e.fold for e in data.episodes}) == [0, 1, 2]


def test_prior_tasks_are_subsampled_and_cross_paired(backbone, spec, episodes):
    rng = np.random.default_rng(3)
    prior = [replace(make_episode(rng, 100 + i, task="other"), instruction="put the pot in the sink") for i in range(2)]
    data = gather([*episodes, *prior], "slide", backbone, spec, replace(CONFIG, frames_per_episode=2))
    assert [len(e.rows) for e in data.episodes[-2:]] == [5, 5]
    assert not any(e.complete for e in data.episodes[-2:])
    cross = cross_pairs(data, backbone, np.random.default_rng(0))
    wipe = data.goals.index(("other", "forward"))
    assert (cross.goals == wipe).any()


def test_the_last_block_can_be_fine_tuned(backbone, spec, episodes, tmp_path):
    config = replace(CONFIG, finetune_last_block=True, steps=30, batch=16, augmentations=0)
    chosen = [*episodes[:3], *episodes[8:11], *episodes[14:16], *episodes[22:24]]
    result = train_reward(chosen, "slide", backbone, spec, config)
    before = backbone.last_block().state_dict()
    after = result.classifier.members[0].last_block.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    save_classifier(result.classifier, tmp_path)
    loaded = load_classifier(tmp_path, backbone)
    frames, words = episodes[0].images["front"], [episodes[0].instruction] * 13
    assert np.array_equal(loaded.logits(frames, words), result.classifier.logits(frames, words))


def test_instructions_that_the_backbone_can_not_tell_apart_are_refused(backbone, spec, episodes):
    same = [replace(e, instruction="put the cube on the plate") for e in episodes]
    with pytest.raises(ConfigError, match=r"can't tell .* Word them differently"):
        train_reward(same, "slide", backbone, spec, CONFIG)


def test_too_few_failures_are_named(backbone, spec, episodes):
    with pytest.raises(ConfigError, match="at least 3 episodes marked failure, got 0"):
        train_reward([e for e in episodes if e.outcome == "success"], "slide", backbone, spec, CONFIG)


def test_a_camera_that_was_not_recorded_is_named(backbone, spec, episodes):
    with pytest.raises(ConfigError, match=r"no camera 'wrist', only front"):
        train_reward(episodes, "slide", backbone, spec, replace(CONFIG, camera="wrist"))


def test_frame_figures_by_hand():
    figures = frame_figures(
        labels=[True, False, False, True],
        before=[0.9, 0.9, 0.1, 0.9],
        after=[0.8, 0.6, 0.1, 0.4],
        tasks=["a", "a", "a", "b"],
        kinds=["success", "edge", "hovering", "success"],
        above=[True, True, False, False],
    )
    assert figures["all"]["balanced_accuracy"] == pytest.approx(0.5)
    assert figures["by_task"]["a"]["auroc"] == 1.0
    assert figures["by_task"]["b"]["auroc"] is None
    assert figures["by_kind"]["edge"]["rate_above_threshold"] == 1.0
    assert figures["by_kind"]["hovering"]["rate_above_threshold"] == 0.0
    assert figures["by_kind"]["success"]["found"] == 0.5


def test_frames_are_evaluated_with_their_instructions(trained, episodes, spec):
    images = np.stack([episodes[0].images["front"][12], episodes[0].images["front"][0]])
    words = [episodes[0].instruction] * 2
    figures = evaluate_frames(trained.classifier, images, words, [True, False], ["slide"] * 2, ["success", "start"])
    assert figures["all"]["auroc"] == 1.0
    closed = np.full((2, len(spec.proprio)), -1.0, np.float32)
    strict = replace(trained.classifier, require_open_gripper=True)
    figures = evaluate_frames(strict, images, words, [True, False], ["slide"] * 2, ["success", "start"], closed)
    assert figures["by_kind"]["success"]["found"] == 0.0


@pytest.mark.parametrize("bad", [{"frames": 0}, {"false_positive_rate": 0.0}, {"folds": 2}, {"mined": 2.0}])
def test_settings_out_of_range_are_named(bad):
    with pytest.raises(ConfigError, match="reward." + next(iter(bad))):
        RewardConfig(**bad)
