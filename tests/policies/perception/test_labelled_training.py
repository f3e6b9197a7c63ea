"""An image encoder learns where to pick and place from labels in hindsight, before it is cloned with."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos, fake_text
from helpers.small_policies import RED_WORDINGS, SMALL_CNN
from safetensors.torch import load_file

from policies.learner.pretrain import pretrain
from policies.perception.encoders.config import ClipConfig, EncoderConfig, ResNetConfig
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.labelled_training import VIEWS, encoder_of
from policies.perception.loading import load_perception
from policies.perception.making import labelled_training, new_image_perception
from policies.perception.text_table import TextTable
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore

PLACES = EncoderConfig(
    ResNetConfig((8, 16), (1, 1), (1, 1)), width=0, proprio_width=0, displacement=2, instruction="film"
)
CLIP = EncoderConfig(ClipConfig(width=4, stage=2, pooling="spatial_softmax"), width=0, proprio_width=0)


def perceived(config, episodes):
    text = TextTable.build({episode.instruction for episode in episodes}, fake_text, "fake")
    return new_image_perception(episodes, text, SPEC, config, 0)


def learning(config, episodes, **settings):
    perception = perceived(config, episodes)
    labels = KeypointConfig(**{"steps": 150, "batch": 16, "holdout": 0.2} | settings)
    frames = sum(len(episode.proprio) for episode in episodes)
    return labelled_training(perception, perception.encoder, episodes, frames, labels, seed=1)


def test_it_finds_the_disc_on_episodes_that_it_has_not_seen():
    training = learning(PLACES, demos(40, seed=3))
    before = training.errors().pick_cm
    while training.step < 150:
        training.update()
    assert training.errors().pick_cm < 0.5 * before
    assert before > 3.0


def test_what_has_no_label_teaches_nothing():
    """The loss of a place that no frame shows has no gradient into the head's place."""
    training = learning(PLACES, demos(4, seed=3))
    training._frames.mask[:, 5:] = 0.0
    last = training._head.layers[-1].weight.detach().clone()
    training.update()
    moved = (training._head.layers[-1].weight - last).abs().amax(dim=1)
    decay = 2 * KeypointConfig.learning_rate * KeypointConfig.weight_decay * last.abs().amax(dim=1)
    assert bool((moved[5:] <= decay[5:]).all())
    assert bool((moved[:3] > decay[:3]).all())


def test_a_frozen_tower_looks_at_each_image_as_it_is_and_changed():
    training = learning(CLIP, demos(3, seed=3), steps=2)
    images = torch.from_numpy(training._frames.images)
    plain, changed = training._views
    assert len(training._views) == VIEWS == 2
    assert torch.equal(plain, training.encoder.see({"front": images})["front"])
    assert not torch.equal(plain, changed)
    tower = {name: tensor.clone() for name, tensor in training.encoder.tower.state_dict().items()}
    adapter = {name: tensor.clone() for name, tensor in training.encoder.trained_tensors().items()}
    training.update()
    assert all(torch.equal(tower[name], tensor) for name, tensor in training.encoder.tower.state_dict().items())
    assert not all(torch.equal(adapter[name], tensor) for name, tensor in training.encoder.trained_tensors().items())


def test_images_change_in_light_colour_and_place_and_only_as_far_as_is_asked():
    training = learning(SMALL_CNN, demos(2, seed=3), brightness=0.1, colour=0.05)
    images = np.full((8, 64, 64, 3), 100, np.uint8)
    images[:, 20:24] = 200
    changed = training._changed(images).numpy().astype(float)
    assert changed.min() >= 100 * 0.9 * 0.95 - 1
    assert changed.max() <= 200 * 1.1 * 1.05
    rows = {int(np.argmax(image[:, 0, 0] > 150)) for image in changed}
    assert len(rows) > 1
    assert rows <= set(range(18, 23))
    assert len({tuple(image[0, 0]) for image in changed}) > 4
    still = learning(replace(SMALL_CNN, augmentation="none"), demos(2, seed=3), brightness=0.0, colour=0.0)
    assert np.array_equal(still._changed(images).numpy(), images)


def test_pretraining_clones_through_what_the_labels_have_taught(tmp_path, demo_store, small_pretraining):
    config = replace(small_pretraining, clone_steps=1, steps=2, batch=16, encoder=SMALL_CNN)
    store = TrajectoryStore(demo_store, read_only=True)
    said = []
    about = pretrain(
        [store], "red_disc", RED_WORDINGS, fake_text, "fake", config, tmp_path / "policy", seed=3, notify=said.append
    )
    assert set(about["encoder_errors"]) == {"pick_cm", "place_cm", "yaw_deg"}
    assert about["encoder_errors"]["pick_cm"] > 0
    assert json.loads((tmp_path / "policy" / "pretraining.json").read_text()) == about
    assert [path.name for path in (tmp_path / "policy" / "training").glob("encoder_*")] == ["encoder_40.safetensors"]
    assert said == []
    taught = encoder_of(load_file(tmp_path / "policy" / "training" / "encoder_40.safetensors"))
    left = load_perception(tmp_path / "policy").encoder.trained_tensors()
    fresh = perceived(SMALL_CNN, demos(1, seed=0)).encoder.trained_tensors()
    one_step = 1.1 * config.agent.critic_lr  # Adam's first, which is all that cloning does here
    assert all(bool((left[name] - taught[name]).abs().max() <= one_step) for name in taught)
    assert not torch.allclose(
        left["branches.0.projection.0.weight"], fresh["branches.0.projection.0.weight"], atol=0.01
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": replace(SMALL_CNN, cameras=("front", "wrist"))},
        {"encoder": EncoderConfig(ClipConfig(finetune=True))},
        {"freeze_encoder": False},
        {"clone_steps": 0},
        {"keypoints": KeypointConfig(steps=0)},
    ],
)
def test_only_an_encoder_of_one_camera_that_is_then_cloned_and_frozen_learns_labels(small_pretraining, changes):
    config = replace(small_pretraining, encoder=SMALL_CNN)
    assert config.labels
    assert not replace(config, **changes).labels


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the means of no frame, before it is refused
def test_without_a_grasp_the_encoder_learns_from_cloning_alone(tmp_path, small_pretraining):
    config = replace(small_pretraining, clone_steps=2, steps=0, batch=16, encoder=SMALL_CNN)
    store = TrajectoryStore(tmp_path / "store", SPEC)
    for episode in demos(3, seed=2):
        wide = episode.proprio.copy()
        wide[:, SPEC.proprio.index("gripper_command")] = 1.0
        store.commit(replace(episode, proprio=wide))
    said = []
    about = pretrain(
        [store], "red_disc", RED_WORDINGS, fake_text, "fake", config, tmp_path / "policy", seed=3, notify=said.append
    )
    assert about["encoder_errors"] == {}
    assert said == ["No episode shows where a gripper closes on something: the encoder learns from cloning alone."]
    with pytest.raises(ConfigError, match="No frame has a keypoint label"):
        pretrain(
            [store], "red_disc", RED_WORDINGS, fake_text, "fake", replace(config, encoder=None), tmp_path / "other",
            seed=3,
        )  # fmt: skip


def test_a_robot_that_does_not_measure_what_labels_are_made_of_has_none():
    episodes = demos(2, seed=2)
    text = TextTable.build({episode.instruction for episode in episodes}, fake_text, "fake")
    kept = [i for i, name in enumerate(SPEC.proprio) if name != "gripper_width"]
    spec = replace(SPEC, proprio=tuple(SPEC.proprio[i] for i in kept))
    short = [replace(episode, proprio=episode.proprio[:, kept]) for episode in episodes]
    perception = new_image_perception(short, text, spec, SMALL_CNN, 0)
    assert labelled_training(perception, perception.encoder, short, 999, KeypointConfig(), 0) is None
