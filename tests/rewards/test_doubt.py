"""The success classifier knows when it doesn't know: scenes unlike its training data, members at odds."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.sliding_square import make_episode

from rewards.config import RewardConfig
from rewards.doubt import Doubt, DoubtRules
from rewards.doubt_fitting import fit_distance, medians_so_far
from rewards.files import load_classifier, save_classifier
from rewards.judge import VlmReward
from rewards.training import train_reward
from trajectories.errors import ConfigError
from trajectories.types import Observation

CONFIG = RewardConfig(steps=120, folds=3, members=2, shift=1, require_open_gripper=False)


@pytest.fixture(scope="module")
def trained(backbone, spec, episodes):
    return train_reward(episodes, "slide", backbone, spec, CONFIG)


def readings(classifier, episode):
    judge = VlmReward(classifier)
    judge.reset(episode.instruction)
    return [
        judge.update(Observation({"front": image}, proprio, episode.instruction, {}))
        for image, proprio in zip(episode.images["front"], episode.proprio, strict=True)
    ]


def changed(episode, change):
    return replace(episode, images={"front": change(episode.images["front"])})


def other_square(images):
    """The red square is green, the blue goal is yellow."""
    return np.ascontiguousarray(images[..., [1, 0, 2]][..., [0, 2, 1]])


def dark(images):
    return (images * 0.3).astype(np.uint8)


def test_the_distance_is_that_of_mahalanobis():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(500, 3)) * [1.0, 2.0, 0.5] + 4.0).float()
    distance = fit_distance(values)
    mean, variance = values.mean(dim=0), values.T.cov()
    ridge = 0.05 * variance.trace() / 3
    point = torch.tensor([[5.0, 2.0, 4.0]])
    offset = (point - mean)[0]
    expected = math.sqrt(offset @ torch.linalg.inv(variance + ridge * torch.eye(3)) @ offset)
    assert distance(point)[0] == pytest.approx(expected, rel=1e-4)
    assert distance(mean[None])[0] == pytest.approx(0.0, abs=1e-3)


def test_fewer_frames_than_numbers_of_an_embedding_are_enough():
    values = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    assert np.isfinite(fit_distance(values)(values)).all()


def test_medians_are_of_the_frames_so_far():
    assert medians_so_far([3.0, 1.0, 9.0, 9.0, 9.0]).tolist() == [3.0, 2.0, 3.0, 6.0, 9.0]


def test_a_probability_at_the_threshold_is_too_near_to_say():
    doubt = Doubt(DoubtRules(None, math.inf, 0.5, margin=0.1), 3, 0.6)
    embedding = torch.zeros(1, 4)

    def ends(*probabilities, counts=True):
        doubt.reset()
        return [doubt.update(embedding, np.array([p, p]), counts) for p in probabilities][-1]

    assert [ends(p, p, p) for p in (0.45, 0.51, 0.6, 0.69, 0.71, 0.99)] == [False, True, True, True, False, False]
    assert ends(0.99, 0.6, 0.6) is False  # the mean over the frames that decide: 0.73
    assert ends(0.0, 0.99, 0.99) is True  # 0.66
    assert ends(0.6, 0.6) is False  # too few frames to decide anything
    assert ends(0.6, 0.6, 0.6, counts=False) is False  # the gripper is closed: not done, without doubt


@pytest.mark.parametrize("threshold", [0.02, 0.6, 0.95, 0.999, 1.0])
def test_what_is_certain_is_never_too_near(threshold):
    doubt = Doubt(DoubtRules(None, math.inf, 0.5, margin=0.1), 1, threshold)
    for certain in (0.0, 1.0):
        assert not doubt.update(torch.zeros(1, 4), np.array([certain, certain]), True)


@pytest.mark.parametrize(
    ("probability", "margin", "unsure"),
    [(0.05, 0.1, False), (0.1, 0.1, True), (0.3, 0.1, True), (0.55, 0.1, True), (0.65, 0.1, False), (0.3, 0.0, False)],
)
def test_where_nothing_hides_what_was_left_a_failure_has_to_be_sure(probability, margin, unsure):
    rules = DoubtRules(None, math.inf, 0.5, margin=margin)
    members = np.array([probability, probability])
    assert Doubt(rules, 1, 0.5, failing=0.1).update(torch.zeros(1, 2), members, counts=True) is unsure
    assert Doubt(rules, 1, 0.5).update(torch.zeros(1, 2), members, counts=True) is (margin > 0 and probability == 0.55)


def test_members_at_odds_are_unsure_over_the_deciding_frames_alone():
    doubt = Doubt(DoubtRules(None, math.inf, 0.2), 2, 0.6)
    embedding = torch.zeros(1, 4)
    agreed, odd = np.array([0.9, 0.9]), np.array([0.9, 0.1])
    assert [doubt.update(embedding, p, True) for p in (odd, odd, agreed, agreed)] == [False, True, False, False]
    doubt.reset()
    assert [doubt.update(embedding, odd, counts) for counts in (False, False, True)] == [False, False, False]
    doubt.reset()
    assert not doubt.update(embedding, odd, True)  # one frame decides nothing


def test_ordinary_episodes_are_seldom_unsure_and_others_are(trained):
    rng = np.random.default_rng(21)
    kinds = [(way, outcome) for way in ("forward", "backward") for outcome in ("success", "failure")]
    new = [make_episode(rng, i, *kind) for i in range(3) for kind in kinds]
    ordinary = [readings(trained.classifier, episode)[-1].unsure for episode in new]
    assert np.mean(ordinary) <= 0.1
    for change in (other_square, dark):
        found = [readings(trained.classifier, changed(episode, change))[-1].unsure for episode in new]
        assert np.mean(found) >= 0.9, change.__name__


def test_unsure_is_not_said_before_frames_could_decide_and_ends_with_a_reset(trained):
    episode = make_episode(np.random.default_rng(22), 0)
    strange = changed(episode, other_square)
    judge = VlmReward(trained.classifier)
    for shown, unsure in ((strange, [False, False, True]), (episode, [False] * 3), (strange, [False, False, True])):
        judge.reset(shown.instruction)
        seen = [
            judge.update(Observation({"front": shown.images["front"][i]}, shown.proprio[i], shown.instruction, {}))
            for i in range(3)
        ]
        assert [reading.unsure for reading in seen] == unsure


def test_the_file_keeps_the_doubt_and_files_without_it_are_read(trained, backbone, spec, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    strange = changed(make_episode(np.random.default_rng(23), 0), other_square)
    loaded = load_classifier(tmp_path, backbone, spec)
    assert loaded.doubt.limit == trained.classifier.doubt.limit
    assert [r.unsure for r in readings(loaded, strange)] == [r.unsure for r in readings(trained.classifier, strange)]
    description = json.loads((tmp_path / "reward.json").read_text())
    del description["doubt"]  # as earlier versions left it
    (tmp_path / "reward.json").write_text(json.dumps(description))
    old = load_classifier(tmp_path, backbone, spec)
    assert old.doubt is None
    assert not any(reading.unsure for reading in readings(old, strange))


def test_a_rate_of_zero_never_asks_for_the_scene(backbone, spec, episodes, tmp_path):
    config = replace(CONFIG, unsure_rate=0.0, unsure_spread=0.5, unsure_margin=0.0)
    classifier = train_reward(episodes, "slide", backbone, spec, config).classifier
    save_classifier(classifier, tmp_path)
    assert load_classifier(tmp_path, backbone).doubt == classifier.doubt == DoubtRules(None, math.inf, 0.5)
    strange = changed(make_episode(np.random.default_rng(24), 0), other_square)
    assert not any(reading.unsure for reading in readings(classifier, strange))


@pytest.mark.parametrize(
    "bad", [{"unsure_rate": 1.0}, {"unsure_rate": -0.1}, {"unsure_spread": 0.0}, {"unsure_margin": 0.5}]
)
def test_settings_out_of_range_are_named(bad):
    with pytest.raises(ConfigError, match="reward." + next(iter(bad))):
        RewardConfig(**bad)
