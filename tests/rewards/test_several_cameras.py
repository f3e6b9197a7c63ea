"""A judge that looks through several cameras at once."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.sliding_square import SPEC, make_episode

from rewards.classifier import ImageFeatures, Member, image_features
from rewards.config import RewardConfig
from rewards.ensemble import EnsembleTrainer
from rewards.files import load_classifier, save_classifier
from rewards.gathering import gather
from rewards.judge import VlmReward
from rewards.pairs import own_pairs
from rewards.samples import Wordings
from rewards.training import train_reward
from rewards.vlm_kind import cameras_from
from trajectories.errors import ConfigError
from trajectories.types import Observation

BOTH = replace(SPEC, cameras={"blind": (40, 40), "front": (48, 48)})
CONFIG = RewardConfig(
    cameras=("blind", "front"), steps=120, folds=3, members=2, shift=1, require_open_gripper=False, augmentations=1
)


def seen_twice(episode, rng):
    """The episode with a camera of another size that shows nothing but grey."""
    images = episode.images["front"]
    blind = rng.normal(120, 6, (len(images), 40, 40, 3)).clip(0, 255).astype(np.uint8)
    return replace(episode, images={"blind": blind, "front": images})


@pytest.fixture(scope="module")
def trained(backbone, episodes):
    rng = np.random.default_rng(1)
    return train_reward([seen_twice(e, rng) for e in episodes], "slide", backbone, BOTH, CONFIG)


def observation(episode, row):
    images = {name: frames[row] for name, frames in episode.images.items()}
    return Observation(images, episode.proprio[row], episode.instruction, {})


def test_a_camera_that_sees_nothing_does_not_hold_back_one_that_sees(trained):
    rng = np.random.default_rng(5)
    for outcome in ("success", "failure"):
        episode = seen_twice(make_episode(rng, 0, outcome=outcome), rng)
        judge = VlmReward(trained.classifier)
        judge.reset(episode.instruction)
        readings = [judge.update(observation(episode, row)) for row in range(13)]
        assert readings[-1].done is (outcome == "success")
        assert not readings[0].done


def test_the_file_names_the_cameras_and_one_of_before_is_read(trained, backbone, episodes, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    loaded = load_classifier(tmp_path, backbone, BOTH)
    assert loaded.cameras == ("blind", "front")
    assert loaded.camera == "blind"
    episode = seen_twice(episodes[0], np.random.default_rng(2))
    views, words = [episode.images[name] for name in loaded.cameras], [episode.instruction] * 13
    assert np.array_equal(loaded.logits(views, words), trained.classifier.logits(views, words))
    one = train_reward(episodes, "slide", backbone, SPEC, replace(CONFIG, cameras=())).classifier
    save_classifier(one, tmp_path)
    description = json.loads((tmp_path / "reward.json").read_text())
    description["camera"] = description.pop("cameras")[0]  # as earlier versions wrote it
    (tmp_path / "reward.json").write_text(json.dumps(description))
    before = load_classifier(tmp_path, backbone, SPEC)
    assert before.cameras == ("front",)
    frames = episodes[0].images["front"]
    assert np.array_equal(before.logits(frames, words), one.logits(frames, words))


def test_a_missing_camera_is_named(trained, episodes):
    judge = VlmReward(trained.classifier)
    judge.reset(episodes[0].instruction)
    with pytest.raises(ConfigError, match=r"camera 'blind', but there is front\. Give reward\.cameras"):
        judge.update(observation(episodes[0], 0))


def test_features_of_all_cameras_lie_side_by_side_in_the_order_given(backbone, episodes):
    front = episodes[0].images["front"][:4]
    other = front[::-1].copy()
    joined = image_features(backbone, [front, other], trunk=True)
    width = backbone.image_width
    torch.testing.assert_close(joined.pooled[:, :width], backbone.encode_images(front), atol=1e-5, rtol=0)
    torch.testing.assert_close(joined.pooled[:, width:], backbone.encode_images(other), atol=1e-5, rtol=0)
    assert joined.trunk.shape[:2] == (4, 2)
    torch.testing.assert_close(joined.trunk[:, 0].float(), joined.trunk[:, 1].flip(0).float(), atol=2e-2, rtol=0)
    small = image_features(backbone, [front, other[:, ::2, ::2]], trunk=False)  # of another size
    torch.testing.assert_close(small.pooled[:, :width], joined.pooled[:, :width], atol=1e-5, rtol=0)


def test_one_last_block_serves_all_cameras(backbone, episodes):
    front = episodes[0].images["front"][:3]
    member = Member(backbone.image_width, 8, backbone.last_block(), views=2).eval()
    features = image_features(backbone, [front, front], trunk=True)[:]
    text = backbone.encode_text(["put the cube on the plate"]).repeat(3, 1)
    zero_shot = backbone.zero_shot(features.pooled, text)
    again = ImageFeatures(member.last_block(features.trunk.flatten(0, 1)).reshape(3, -1))
    expected = member.head(again.pooled, text, zero_shot)
    torch.testing.assert_close(member(features, text, zero_shot), expected)
    one = backbone.zero_shot(features.pooled[:, : backbone.image_width], text)
    torch.testing.assert_close(zero_shot, one)  # the mean of two that are alike


def test_what_sees_time_sees_it_through_all_cameras(backbone, episodes):
    rng = np.random.default_rng(3)
    config = replace(CONFIG, window=3, steps=4, members=1, augmentations=0, batch=16)
    data = gather([seen_twice(e, rng) for e in episodes], "slide", backbone, BOTH, config)
    trainer = EnsembleTrainer(data, Wordings(data, backbone), backbone, config)
    pairs, known = own_pairs(data)
    ensemble = trainer.train(pairs[known])
    assert ensemble.time.views == 2
    features = data.features[torch.arange(5)]
    assert features.windows.frames()[0].shape == (5, 3, 2 * backbone.image_width)
    text = backbone.encode_text(["put the cube on the plate"]).repeat(5, 1)
    with torch.no_grad():
        each, progress = ensemble.judge_each(features, text, backbone.zero_shot(features.pooled, text))
    assert each.shape == (1, 5)
    assert ((progress > 0) & (progress < 1)).all()


def test_settings_name_cameras_that_the_robot_has():
    assert cameras_from({"cameras": ["front", "blind"]}, BOTH) == ("front", "blind")
    assert cameras_from({"camera": "front"}, BOTH) == ("front",)
    assert cameras_from({"cameras": None}, BOTH) == ("blind",)
    with pytest.raises(ConfigError, match=r"reward\.cameras names wrist; the robot has blind, front"):
        cameras_from({"cameras": ["wrist"]}, BOTH)
    with pytest.raises(ConfigError, match="has a camera twice"):
        RewardConfig(cameras=("front", "front"))
